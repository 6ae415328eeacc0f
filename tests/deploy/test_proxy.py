"""The nginx example: it sends what it takes to where it is served, and holds nothing back."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest
from django.urls import resolve

from console.live.routing import websocket_urlpatterns
from runtime.conf import Settings
from tests.deploy.files import DEPLOY, PORT, SIZES, compose, option, seconds, told
from tests.programs import program

TEXT = re.sub(r"#.*", "", (DEPLOY / "nginx" / "roost.conf").read_text())
LIVE, STREAM, HOOKS = "/roost/live/", "/roost/api/v1/events/stream", "/roost/hooks/"
FILES = "^/roost/api/v1/work-items/[^/]+/artifacts$"

KEPT = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""What nginx puts into folders, which need not be there where it was only unpacked."""

DEBIANS = "server { listen 80 default_server; server_name _; return 404; }"
"""What Debian's package serves, beside which the example has to load."""


@cache
def locations() -> dict[str, list[str]]:
    """Return what is said in each location."""
    found = re.findall(r"location (?:[=~] )?(\S+) \{(.*?)\}", TEXT, re.DOTALL)
    return {path: [line.strip() for line in body.split(";") if line.strip()] for path, body in found}


def outside() -> str:
    """Return the file without its locations."""
    return re.sub(r"location .*?\}", "", TEXT, flags=re.DOTALL)


def size(text: str) -> int:
    """Return the bytes of the one bound on bodies."""
    [(number, unit)] = re.findall(r"client_max_body_size (\d+)([kmg])", text)
    return int(number) * SIZES[unit]


def test_every_location_is_served() -> None:
    assert resolve(STREAM).url_name
    assert resolve(f"{HOOKS}default/pushes").view_name == "roost:webhook"
    upload = f"/roost/api/v1/work-items/{UUID(int=1)}/artifacts"
    assert resolve(upload).route.endswith("/artifacts")
    assert re.match(FILES, upload)
    assert resolve("/roost/metrics").view_name == "roost:metrics"
    assert resolve("/admin/login/").view_name == "admin:login"
    [socket] = websocket_urlpatterns
    assert f"/{socket.pattern}" == LIVE
    assert locations().keys() == {"/", LIVE, STREAM, HOOKS, FILES, "/roost/metrics", "/admin/login/"}
    assert {line for lines in locations().values() for line in lines if "proxy_pass" in line} == {
        "proxy_pass http://roost"
    }


def test_it_reaches_the_port_that_is_served() -> None:
    [port] = re.findall(r"server 127\.0\.0\.1:(\d+);", TEXT)
    assert int(port) == PORT
    assert compose()["services"]["web"]["ports"] == [f"127.0.0.1:{port}:{PORT}"]


@pytest.mark.parametrize("path", [LIVE, STREAM])
def test_what_comes_bit_by_bit_is_passed_on_bit_by_bit(path: str) -> None:
    assert "proxy_buffering off" in locations()[path]


def test_what_waits_is_waited_for() -> None:
    [patience] = re.findall(r"proxy_read_timeout (\w+);", TEXT)
    assert seconds(patience) > max(Settings.API_WAIT_SECONDS, Settings.API_STREAM_SECONDS)


def test_no_connection_is_kept_for_longer_than_the_server_keeps_it() -> None:
    [upstream] = re.findall(r"upstream roost \{(.*?)\}", TEXT, re.DOTALL)
    [idle] = re.findall(r"keepalive_timeout (\w+);", upstream)
    assert seconds(idle) < seconds(option(json.loads(told("CMD")[-1]), "--timeout-keep-alive"))


def test_what_asks_by_http_under_another_name_is_anothers() -> None:
    [plain] = [one for one in TEXT.split("server {")[1:] if "listen 80" in one]
    assert re.findall(r"(?:listen|server_name) ([^;]+);", plain) == ["80", "roost.example.com"]


def test_live_pages_alone_become_sockets() -> None:
    assert re.search(rf"map \$uri \$roost_upgrade \{{\s*default\s+\"\";\s*{LIVE} \$http_upgrade;\s*\}}", TEXT)
    assert "proxy_set_header Upgrade $roost_upgrade;" in outside()
    assert "proxy_set_header Connection $roost_connection;" in outside()


def test_bodies_are_bounded_as_roost_bounds_them() -> None:
    assert size(outside()) == Settings.API_MAX_BODY_BYTES
    assert size(";".join(locations()[HOOKS])) == Settings.MAX_WEBHOOK_BYTES
    room = size(";".join(locations()[FILES])) - Settings.API_MAX_UPLOAD_BYTES
    assert 0 < room <= SIZES["m"]


def test_clients_say_nothing_of_themselves_that_roost_believes() -> None:
    for header in ("X-Forwarded-Proto $scheme", "X-Forwarded-For $remote_addr", 'X-Forwarded-Host ""', "Host $host"):
        assert f"proxy_set_header {header};" in outside()
    # A location with a header of its own would lose all of these.
    assert [path for path, lines in locations().items() if any("proxy_set_header" in line for line in lines)] == []


def test_no_answer_opens_a_file_of_the_proxy() -> None:
    [ignored] = re.findall(r"proxy_ignore_headers ([^;]+);", TEXT)
    assert "X-Accel-Redirect" in ignored.split()
    # Streams turn buffering off by this one.
    assert "X-Accel-Buffering" not in ignored.split()
    assert "proxy_hide_header X-Accel-Redirect;" in outside()
    assert "alias" not in TEXT
    assert not re.search(r"\broot\b", TEXT)


def test_no_log_holds_what_an_address_asks() -> None:
    [written] = re.findall(r"log_format roost ([^;]+);", TEXT)
    assert "$uri" in written
    assert not re.search(r"\$(request|request_uri|args|query_string|http_referer|arg_\w+)\b", written)
    servers = TEXT.split("server {")[1:]
    assert len(servers) == 3
    assert [re.findall(r"access_log ([^;]+);", one) for one in servers] == [["/var/log/nginx/roost.log roost"]] * 3


def test_nginx_finds_no_fault(tmp_path: Path) -> None:
    nginx, openssl = program("nginx"), program("openssl")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    made = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run([*made, "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=roost.example.com"])
    here = TEXT.replace("/etc/ssl/roost", str(tmp_path)).replace("/var/log/nginx", str(tmp_path))
    (tmp_path / "roost.conf").write_text(here)
    kept = "".join(f"{kind}_temp_path {tmp_path}/{kind}; " for kind in KEPT)
    http = f"http {{ access_log {tmp_path}/all; {kept}include {tmp_path}/roost.conf; {DEBIANS} }}"
    around = f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} {http}"
    (tmp_path / "nginx.conf").write_text(around)
    assert "test is successful" in run([nginx, "-t", "-c", str(tmp_path / "nginx.conf")])


def run(command: list[str]) -> str:
    """Run a program to its good end; return what it says."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout
