"""An S3 server for the tests, in memory, which checks signatures: moto on a free port of 127.0.0.1.

Prints what a shell needs to use it, all at once, and serves until it is ended.
"""

import json
import logging
import signal
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "mixvideo"

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://{host}:{port}"


def client(service):
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="first", aws_secret_access_key="first"
    )


client("s3").create_bucket(Bucket=BUCKET)
iam = client("iam")
iam.create_user(UserName="tests")
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="tests", PolicyName="everything", PolicyDocument=json.dumps(everything))
key = iam.create_access_key(UserName="tests")["AccessKey"]
# From here on every request is checked.
check = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
urllib.request.urlopen(check).read()
url = f"s3://{BUCKET}?region=us-east-1&endpoint={endpoint}"
print(
    f"""export MIXVIDEO_TEST_S3='{url}'
export AWS_ACCESS_KEY_ID='{key["AccessKeyId"]}' AWS_SECRET_ACCESS_KEY='{key["SecretAccessKey"]}'""",
    flush=True,
)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
