"""Ask this machine's web server whether it is ready; the exit code is the answer.

    python deploy/healthcheck.py [URL]

Asks as a client of the product would: under the first name of ROOST_ALLOWED_HOSTS. Without a worker the server is ready
all the same, unless ROOST_READY_NEEDS_WORKER says otherwise: a balancer must not lose the pages with the workers.
"""

from __future__ import annotations

import http.client
import os
import sys
from urllib.parse import urlsplit

URL = "http://127.0.0.1:8000/roost/health/ready"
SECONDS = 4.0


def name_of(address: str) -> str:
    """Return the name under which to ask: the first that is allowed, or the address where none or any is."""
    names = (word.strip() for word in os.environ.get("ROOST_ALLOWED_HOSTS", "").split(","))
    return next((name.removeprefix(".") for name in names if name not in ("", "*")), address)


def main(arguments: list[str]) -> int:
    """Return 0 when the server is ready, else 1, with what it said on stderr."""
    url = urlsplit(arguments[0] if arguments else URL)
    connection = http.client.HTTPConnection(url.netloc, timeout=SECONDS)
    try:
        connection.request("GET", url.path, headers={"Host": name_of(url.netloc)})
        answer = connection.getresponse()
        said = answer.read(1000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{url.netloc} does not answer: {error}\n")
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        sys.stderr.write(f"{url.netloc} answered {answer.status}: {said}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
