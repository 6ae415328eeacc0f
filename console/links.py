"""Links to files: whoever has one downloads that one file, without a session and without a token, until it ends.

A link says which file of which namespace, that it comes as an attachment, until when, and who made it. All of it is
signed with a key that signs nothing else, so nobody changes a word of it or makes one up. It is good for as long as
whoever made it may read the file: it ends with their token, or when a permission is taken from them. A new
`ROOST_API_LINK_KEY` ends all that there are.

Nothing is kept of a link, and nothing is written when one is made or used.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import uuid
from dataclasses import dataclass

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, QueryDict
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from console.callers import Caller
from runtime import clock
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models import Artifact
from runtime.queries import artifacts
from runtime.store import work_database

SALT = "roost.download"
ATTACHMENT = "attachment"
ROUTE = "downloadByLink"
SPACE = "roost:api:"
"""What the names of the API's routes begin with where `console.urls` is included."""
HOUR = 3600
LONGEST = 4000
"""Characters that a link can have at most."""

logger = logging.getLogger("roost.links")


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What a link says. `maker` is the key of a `Caller`, `until` seconds since 1970."""

    artifact: uuid.UUID
    namespace: str
    maker: str
    until: int

    @property
    def expires_at(self) -> dt.datetime:
        """When it ends."""
        return dt.datetime.fromtimestamp(self.until, dt.UTC)


def is_over(link: Link) -> bool:
    """Say whether a link has ended, by the database's clock."""
    return link.until <= clock.now(work_database()).timestamp()


def longest() -> int:
    """Return for how many seconds a link may be good."""
    return math.floor(roost.API_LINK_SECONDS)


def make(found: Artifact, maker: Caller, seconds: int | None = None) -> Link:
    """Return a link to the file, good for so many seconds, an hour if nothing is said.

    Whoever asks may read the file: that was checked before. Raises `InvalidInput` for longer than links may be good.
    """
    most = longest()
    chosen = min(HOUR, most) if seconds is None else seconds
    if not 1 <= chosen <= most:
        raise InvalidInput(f"A link is good for 1 to {most} seconds (ROOST_API_LINK_SECONDS), not for {chosen}.")
    link = Link(
        artifact=found.pk,
        namespace=found.work_item.namespace,
        maker=maker.key,
        until=math.ceil(clock.now(work_database()).timestamp()) + chosen,
    )
    told = "%s made a link to artifact %s of item %s, good until %s"
    logger.info(told, maker.by.get_username(), link.artifact, found.work_item_id, link.expires_at)
    return link


@sensitive_variables()
def address(request: HttpRequest, link: Link, space: str = SPACE) -> str:
    """Return the whole address. It opens the file to whoever reads it: keep it out of logs."""
    return request.build_absolute_uri(reverse(f"{space}{ROUTE}", query={"link": signed(link)}))


def conceal(request: HttpRequest) -> None:
    """Take what an address asks out of its request: reports of errors print it whole."""
    request.META["QUERY_STRING"] = ""
    request.GET = QueryDict()


def are_served() -> bool:
    """Say whether links lead somewhere: a product may mount the API elsewhere, or not at all."""
    try:
        reverse(f"{SPACE}{ROUTE}")
    except NoReverseMatch:
        return False
    return True


@sensitive_variables()
def signed(link: Link) -> str:
    """Return the link as text."""
    return _signer().sign_object([str(link.artifact), link.namespace, ATTACHMENT, link.maker, link.until])


@sensitive_variables()
def read(text: str) -> Link | None:
    """Return what a text says, None for one that was not signed here, or not for an attachment. Asks nobody."""
    try:
        artifact, namespace, disposition, maker, until = _signer().unsign_object(text)
    except BadSignature:
        return None
    if disposition != ATTACHMENT:
        return None
    return Link(artifact=uuid.UUID(artifact), namespace=namespace, maker=maker, until=until)


def file_of(link: Link) -> Artifact | None:
    """Return the file with its content's row, None if it is gone, or whoever made the link may not read it any more."""
    maker = Caller.of_key(link.maker)
    if maker is None or not maker.reads_payload or not maker.reaches(link.namespace):
        return None
    return artifacts.in_namespace(link.artifact, link.namespace)


@sensitive_variables()
def _signer() -> Signer:
    own: str | None = roost.API_LINK_KEY
    # A key of its own has nobody before it: what others signed is over. Without one Django's keys count, old ones too.
    return Signer(key=own, fallback_keys=[], salt=SALT, sep=".") if own else Signer(salt=SALT, sep=".")
