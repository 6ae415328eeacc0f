"""Serve the console with demo data and a worker, on this machine alone.

    python -m roost_project.console [--port PORT]

Migrates the database, makes the user `admin` at the first start (ROOST_DEMO_PASSWORD, or a random password that is
printed once), starts the web server and a worker, and ends both on Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
PORT = 8000
USER = "admin"
START_SECONDS = 30.0
# A demo that is told to stop gives running steps little time: what they lose runs again at the next start.
GRACE_SECONDS = "3"
STOP_SECONDS = 15.0
WEB_SERVER = [
    # Static files are read by threads here, which is what this warning, told once, is about.
    *("-W", "ignore:StreamingHttpResponse must consume synchronous iterators"),
    *("-m", "uvicorn", "roost_project.asgi:application", "--log-level", "warning"),
    *("--timeout-graceful-shutdown", GRACE_SECONDS),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal, or until a child ends by itself (exit code 1)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, help=f"port to serve on ({PORT}, or a free one where that is taken)")
    port = parser.parse_args(arguments).port or free_port(PORT)
    address = f"http://{HOST}:{port}/admin/"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "roost_project.settings")
    os.environ.setdefault("ROOST_LOG_LEVEL", "WARNING")
    # Many of the demo's items fail on purpose, and the console tells of each.
    os.environ.setdefault("ROOST_ITEM_LOG_LEVEL", "CRITICAL")
    os.chdir(ROOT)
    login = prepare(address)
    signal.signal(signal.SIGTERM, _interrupt)
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        children["web server"] = start(*WEB_SERVER, "--host", HOST, "--port", str(port))
        children["worker"] = start(str(ROOT / "manage.py"), "runworker")
        wait_until_served(f"{address}login/", children["web server"])
        say(f"\nThe console: {address}roost/\nLogin:       {login}\nCtrl-C ends it.")
        return watch(children)
    except KeyboardInterrupt:
        say("\nStopping.")
        return 0
    finally:
        stop(list(children.values()))


def prepare(address: str) -> str:
    """Migrate, make user and demo data where missing; return the login in words. Exits on a deployment."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    if settings.DEPLOYED:
        raise SystemExit(
            "ROOST_SECRET_KEY is set, so this is a deployment; demo data and a demo login have no place in it."
        )
    from roost_project.demo_data import fill

    say("Preparing the database …")
    call_command("migrate", verbosity=0, interactive=False)
    login = make_user()
    count = fill(f"{address}login/")
    say(f"Enqueued {count} demo items." if count else "The database has items already; none were added.")
    return login


def make_user() -> str:
    """Make the demo's superuser if there is none, set the password that the environment names; return the login."""
    from django.contrib.auth import get_user_model

    given = os.environ.get("ROOST_DEMO_PASSWORD", "")
    user, made = get_user_model().objects.get_or_create(
        **{get_user_model().USERNAME_FIELD: USER}, defaults={"is_staff": True, "is_superuser": True}
    )
    if not made and not given:
        return f"{USER}, with the password printed at the first start (ROOST_DEMO_PASSWORD=… sets another)"
    password = given or secrets.token_urlsafe(12)
    user.set_password(password)
    user.save()
    return f"{USER}, with the password in ROOST_DEMO_PASSWORD" if given else f"{USER} / {password}"


def free_port(wanted: int) -> int:
    """Return the wanted port, or a free one where it is taken."""
    for port in (wanted, 0):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("There is no free port on this machine.")


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a child of this Python, out of reach of the terminal's Ctrl-C: it hears one SIGTERM from us."""
    environment = {"ROOST_GRACE_SECONDS": GRACE_SECONDS, **os.environ}
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, start_new_session=True)


def wait_until_served(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the page answers. Exits when the server ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit(f"The web server does not answer at {url}.")


def watch(children: dict[str, subprocess.Popen[bytes]]) -> int:
    """Return 1 when a child has ended by itself."""
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                say(f"The {name} ended with code {child.returncode}.")
                return 1
        time.sleep(0.3)


def stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the children: SIGTERM, and SIGKILL for one that does not follow in time or when we hear a second signal."""

    def at_once(_number: int, _frame: object) -> None:
        for child in children:
            child.kill()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, at_once)
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
