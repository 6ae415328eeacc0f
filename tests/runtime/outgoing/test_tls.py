"""A certificate is checked against the name that was asked for, not against the address that is dialled."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.exceptions import RefusedAddress
from runtime.outgoing import client, fetch
from tests.runtime.outgoing.echo import echoing

pytestmark = [pytest.mark.plain, pytest.mark.scenario("S10")]


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's context with a certificate for secure.example, which the client trusts."""
    pem = _certificate(tmp_path / "secure.pem", "secure.example")
    trusting = ssl.create_default_context(cafile=str(pem))
    monkeypatch.setattr(client, "_certificates", lambda: trusting)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving


def test_tls_is_checked_against_the_name_although_the_address_is_dialled(
    certified: ssl.SSLContext, names: Any, settings: Any
) -> None:
    settings.ROOST_OUTGOING_ALLOW = ["127.0.0.1"]
    names["secure.example"] = names["other.example"] = [["127.0.0.1"]]
    asked: list[str | None] = []
    certified.sni_callback = lambda _socket, name, _context: asked.append(name)
    with echoing(certified) as echo:
        assert fetch("GET", echo.url(host="secure.example", scheme="https")).status == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch("GET", echo.url(host="other.example", scheme="https"))
        target = "/to/302/http://secure.example/"
        with pytest.raises(RefusedAddress, match="https to http"):
            fetch("GET", echo.url(target, host="secure.example", scheme="https"), headers={"Authorization": "s"})
    assert asked == ["secure.example", "other.example", "secure.example"]
    assert [headers["host"] for _, _, headers, _ in echo.seen] == [f"secure.example:{echo.port}"] * 2


def _certificate(path: Path, name: str) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path
