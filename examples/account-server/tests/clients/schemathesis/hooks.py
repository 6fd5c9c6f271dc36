"""Logs every generated request in as one of many users, in turn: calls that end a login, and waits
after wrong guesses, then hold up none of the others. Whatever differs from the document is found by
Schemathesis itself.
"""

import base64
import itertools
import json
import os
import urllib.parse
import urllib.request

import schemathesis
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

URL = os.environ["KEYWRIGHT_URL"]
# As many as the server's accounts file has.
USERS = int(os.environ["KEYWRIGHT_USERS"])
LIBREPASS_USERS = 8
ARGON = {"parallelism": 3, "memory": 65536, "iterations": 4}


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def register(number):
    """Registers a LibrePass user and logs in. To the server a password is a key; any key will do."""
    email = f"schema{number}@example.com"
    key = X25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
    offered = call("/api/auth/preLogin?" + urllib.parse.urlencode({"email": email}))["serverPublicKey"]
    shared = key.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(offered))).hex()
    public = key.public_key().public_bytes_raw().hex()
    call("/api/auth/register", {"email": email, "sharedKey": shared, "publicKey": public, **ARGON})
    login = call("/api/auth/oauth?grantType=login", {"email": email, "sharedKey": shared})
    return {"token": login["apiKey"], "id": login["userId"]}


LIBREPASS = [register(number) for number in range(LIBREPASS_USERS)]
TURNS = itertools.count()


def own(body, user):
    """Makes ciphers the user's own: nobody's are refused before they are looked at."""
    if isinstance(body, dict):
        if isinstance(body.get("owner"), str):
            body["owner"] = user["id"]
        for entry in body.get("updated") or [] if isinstance(body.get("updated"), list) else []:
            own(entry, user)


@schemathesis.hook
def before_call(context, case, kwargs):
    turn = next(TURNS)
    user = turn % USERS
    path = case.path
    if path.startswith("/index.php/"):
        login = base64.b64encode(f"user{user}:app-password-of-user-{user}".encode()).decode()
        case.headers["Authorization"] = f"Basic {login}"
    elif path.startswith("/api/v1/"):
        case.headers["X-User-Id"] = f"id{user}"
        case.headers["X-Auth-Token"] = f"auth-token-of-user-{user}"
    else:
        user = LIBREPASS[turn % LIBREPASS_USERS]
        case.headers["Authorization"] = f"Bearer {user['token']}"
        if turn % 4:
            own(case.body, user)
