-- Empties the mailbox and gives it an identity. KEYS[1]: the partition's identity. ARGV: the new identity, which begins
-- with its owner's epoch and a colon, and the epoch.
-- Answers the identity; another one than the new one when an owner of a later epoch has it.
local base = KEYS[1]
local identity = redis.call('GET', base)
local epoch = identity and tonumber(string.match(identity, '^(%d+):'))
if epoch and epoch > tonumber(ARGV[2]) then
  return identity
end
-- First what takes room: a server whose memory is full accepts what follows a removal.
for _, name in ipairs(redis.call('SMEMBERS', base .. ':lanes')) do
  redis.call('UNLINK', base .. ':in:' .. name, base .. ':due:' .. name)
end
redis.call('UNLINK', base .. ':lanes', base .. ':at', base .. ':letters')
redis.call('SET', base, ARGV[1])
return ARGV[1]
