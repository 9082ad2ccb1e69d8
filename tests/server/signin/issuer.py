"""An issuer of identities on loopback: it signs what it is told to, also what it should not."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "the-hub", "a secret: of & the hub"


class Issuer:
    """Discovery, keys and token endpoint. `claims` are added to each token; `faults` change an answer: path to (status, headers, body)."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.claims: dict[str, object] = {}
        self.faults: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.token = ""
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                self._send(*issuer.faults.get(self.path, (200, {}, issuer.document(self.path))))

            def do_POST(self) -> None:
                issuer.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[-1] for key, values in parse_qs(body).items()}
                answer = issuer.redeem(form, self.headers.get("Authorization", ""))
                self._send(*issuer.faults.get(self.path, answer))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def document(self, path: str) -> bytes:
        if path == "/keys":
            return json.dumps({"keys": [self.key.as_dict(private=False)]}).encode()
        facts = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        return json.dumps(facts).encode()

    def agree(self, place: str, subject: str) -> str:
        """Somebody is sent to `place` and agrees; the address of the hub that it is sent back to."""
        asked = {key: values[-1] for key, values in parse_qs(urlsplit(place).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._codes[code] = {**asked, "sub": subject}
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, str], bytes]:
        known = self._codes.pop(form.get("code", ""), None)
        wanted = base64.b64encode(b"the-hub:a%20secret%3A%20of%20%26%20the%20hub").decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            known is None
            or authorization != f"Basic {wanted}"
            or challenge != known["code_challenge"]
            or form.get("redirect_uri") != known["redirect_uri"]
        ):
            return 400, {}, b'{"error": "invalid_grant"}'
        token = self.token or self.sign({"sub": known["sub"], "nonce": known["nonce"], "aud": CLIENT, **self.claims})
        return 200, {}, json.dumps({"id_token": token, "access_token": "x", "token_type": "bearer"}).encode()

    def sign(self, claims: dict[str, object], key: RSAKey | OctKey | None = None, algorithm: str = "RS256") -> str:
        now_s = int(time.time())
        whole = {"iss": self.url, "iat": now_s, "exp": now_s + 300, **claims}
        kept = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": "one"}, kept, key or self.key, algorithms=[algorithm])

    def unsigned(self, claims: dict[str, object]) -> str:
        def part(value: object) -> str:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

        body = part({"iss": self.url, "iat": int(time.time()), "exp": int(time.time()) + 300, **claims})
        return f"{part({'alg': 'none'})}.{body}."
