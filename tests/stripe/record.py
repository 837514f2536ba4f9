"""Records what `seahaven-stripe-world` answers to the requests of `recorded.json`. README.md says how it was run.

Usage: python record.py BASE_URL > recorded.json, where BASE_URL is an account of it, such as
http://127.0.0.1:8000/worlds/one. `{intent}` in a request stands for a payment of 15.00 USD that is paid.
"""

import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

BASE = sys.argv[1]
# What is compared of an object that is answered.
FIELDS = [
    "object", "amount", "currency", "status", "payment_intent", "metadata", "active", "name", "description",
    "unit_amount", "product", "has_more",
]


def call(method, path, form=None, key=None):
    headers = {"authorization": "Bearer sk_test_1"}
    if key:
        headers["idempotency-key"] = key
    data = urllib.parse.urlencode(form or {}).encode() if method == "POST" else None
    url = BASE + path + ("?" + urllib.parse.urlencode(form) if method == "GET" and form else "")
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.load(error)


REFUNDS = [
    ("a part", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "500", "metadata[refund_id]": "re_1"}, "key-1"),
    ("the same again", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "500", "metadata[refund_id]": "re_1"}, "key-1"),
    ("another amount under the same key", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "600", "metadata[refund_id]": "re_1"}, "key-1"),
    ("the same key at another place", "POST", "/v1/products", {"name": "A film"}, "key-1"),
    ("more than is left", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "1500"}, "key-2"),
    ("more than is left, again", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "1500"}, "key-2"),
    ("nothing", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "0"}, None),
    ("less than nothing", "POST", "/v1/refunds", {"payment_intent": "{intent}", "amount": "-5"}, None),
    ("of what does not exist", "POST", "/v1/refunds", {"payment_intent": "pi_none", "amount": "5"}, None),
    ("the rest", "POST", "/v1/refunds", {"payment_intent": "{intent}"}, "key-3"),
    ("more when all is gone", "POST", "/v1/refunds", {"payment_intent": "{intent}"}, "key-4"),
    ("a list", "GET", "/v1/refunds", {"payment_intent": "{intent}"}, None),
    ("one page of it", "GET", "/v1/refunds", {"payment_intent": "{intent}", "limit": "1"}, None),
    ("one that does not exist", "GET", "/v1/refunds/re_none", None, None),
]
PRODUCTS = [
    ("a product", "POST", "/v1/products", {"id": "prod_film", "name": "A film", "description": "Of ten seconds", "metadata[source]": "mixvideo"}, "key-5"),
    ("another name", "POST", "/v1/products/prod_film", {"name": "A longer film"}, None),
    ("its description taken away", "POST", "/v1/products/prod_film", {"description": ""}, None),
    ("a product archived", "POST", "/v1/products/prod_film", {"active": "false"}, None),
    ("a product read", "GET", "/v1/products/prod_film", None, None),
    ("a product that does not exist", "GET", "/v1/products/prod_none", None, None),
    ("a change of one that does not exist", "POST", "/v1/products/prod_none", {"name": "A film"}, None),
    ("a price", "POST", "/v1/prices", {"product": "prod_film", "unit_amount": "1000", "currency": "usd"}, "key-7"),
    ("the same price again", "POST", "/v1/prices", {"product": "prod_film", "unit_amount": "1000", "currency": "usd"}, "key-7"),
    ("a price of no product", "POST", "/v1/prices", {"product": "prod_none", "unit_amount": "1000", "currency": "usd"}, None),
    ("the prices of a product", "GET", "/v1/prices", {"product": "prod_film"}, None),
    ("a price that does not exist", "GET", "/v1/prices/price_none", None, None),
    ("a change of a price that does not exist", "POST", "/v1/prices/price_none", {"active": "false"}, None),
]

card = {"type": "card", "card[token]": "tok_visa"}
_, _, method = call("POST", "/v1/payment_methods", card)
pay = {"amount": "1500", "currency": "usd", "payment_method": method["id"], "confirm": "true", "payment_method_types[0]": "card"}
status, _, intent = call("POST", "/v1/payment_intents", pay)
assert status == 200 and intent["status"] == "succeeded", intent


def shown(one):
    text = json.dumps({name: one[name] for name in FIELDS if name in one})
    return json.loads(text.replace(intent["id"], "{intent}"))


recorded = []
for name, method, path, form, key in REFUNDS + PRODUCTS:
    sent = {field: value.replace("{intent}", intent["id"]) for field, value in (form or {}).items()}
    status, headers, body = call(method, path, sent, key)
    lower = {name.lower(): value for name, value in headers.items()}
    case = {"name": name, "method": method, "path": path, "form": form or {}, "key": key, "status": status}
    case["replayed"] = lower.get("idempotent-replayed") == "true"
    if "error" in body:
        case["error"] = {of: body["error"][of] for of in ("type", "code", "message") if body["error"].get(of)}
    else:
        case["answer"] = shown(body)
        if body.get("object") == "list":
            case["list"] = [shown(one) for one in body["data"]]
    recorded.append(case)
text = json.dumps(recorded, indent=1).replace(intent["id"], "{intent}")
print(re.sub(r"ch_\w+", "{charge}", text))
