"""The one way out: HTTP over checked addresses, within limits of size and time.

A name is resolved once for each connection, every answer is checked, and the
connection goes to a checked address and nowhere else, so that a name that changes its
mind (DNS rebinding) changes nothing. TLS still verifies the name. Redirects are
followed by hand, each like a first request. Neither proxies nor credentials come from
the environment, and a compressed answer is refused: it was not asked for.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn
from urllib.parse import urljoin

import certifi
import httpcore

from scanners.pinning import CheckedNetwork, EgressError, Pace
from scanners.urls import Rules, Url, read_url

MAX_LOCATION = 16_000  # signed addresses of content networks are long
SEE_OTHER = 303  # "ask for this with GET instead"; the others repeat what was asked
REDIRECTS = frozenset({301, 302, SEE_OTHER, 307, 308})


class TooLarge(EgressError):
    """More came, or was announced, than is accepted."""

    def __init__(self) -> None:
        super().__init__("it is larger than this server accepts")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a URL. `secrets` are headers that stay with its origin.

    `is_endless`: the end of the connection may be that of the answer's body.
    """

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    is_endless: bool = False


@dataclass(slots=True)
class Allowance:
    """How many bytes may still come. Shared by all files of one target."""

    left: int

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLarge


class Answer:
    """One answer whose body is read as it comes. `headers` are in lower case."""

    def __init__(
        self,
        url: Url,
        response: httpcore.Response,
        allowance: Allowance,
        *,
        is_endless: bool,
    ) -> None:
        self.url = url
        self._is_endless = is_endless
        self.status = response.status
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        self._allowance = allowance
        self._chunks = self._checked_chunks(response)

    def read(self, _size: int = -1, /) -> bytes:
        """Return the next piece of the body, of any length, and b"" at its end."""
        return next(self._chunks, b"")

    def whole(self) -> bytes:
        return b"".join(self._chunks)

    def _checked_chunks(self, response: httpcore.Response) -> Iterator[bytes]:
        coding = self.headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise EgressError(f"{self.url.host} answered with compressed content")
        length = self.headers.get("content-length", "")
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        if not length and not chunked and not self._is_endless:
            # A connection that breaks would look like the end of the file.
            raise EgressError(f"{self.url.host} does not say how long its answer is")
        if length.isdecimal() and int(length) > self._allowance.left:
            raise TooLarge
        with _plain_words(self.url.host):
            for chunk in response.iter_stream():
                self._allowance.spend(len(chunk))
                if chunk:
                    yield chunk


def trusted(rules: Rules) -> ssl.SSLContext:
    """Return whose certificates are believed; worth keeping for several clients."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if rules.ca_file:
        context.load_verify_locations(rules.ca_file)
    return context


class Client:
    """Fetches by the rules. `checkpoint` is called at least twice a second."""

    def __init__(
        self,
        rules: Rules,
        checkpoint: Callable[[], None],
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._pace = Pace(rules, checkpoint)
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust or trusted(rules),
            max_connections=1,
            network_backend=CheckedNetwork(rules, self._pace),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    @contextmanager
    def get(
        self,
        url: Url,
        allowance: Allowance,
        headers: Mapping[str, str] | None = None,
        *,
        redirects: int | None = None,
    ) -> Iterator[Answer]:
        """Ask for `url`; raise `EgressError`. The headers stay with its origin."""
        question = Question(secrets=headers or {})
        with self.ask(url, question, allowance, redirects=redirects) as answer:
            yield answer

    @contextmanager
    def ask(
        self,
        url: Url,
        question: Question,
        allowance: Allowance,
        *,
        redirects: int | None = None,
    ) -> Iterator[Answer]:
        """Ask `question` of `url` and of where it leads; raise `EgressError`."""
        left = self._rules.redirects if redirects is None else redirects
        origin = url.origin
        while True:
            with ExitStack() as open_answer:
                answer = open_answer.enter_context(self._ask(url, question, allowance))
                location = answer.headers.get("location", "")
                if answer.status not in REDIRECTS or not location:
                    yield answer
                    return
            if left <= 0:
                raise EgressError(f"{url.host} redirects more often than allowed")
            if answer.status == SEE_OTHER and question.method != "GET":
                raise EgressError(f"{url.host} redirects to another kind of request")
            left -= 1
            url = self._next(url, location)
            if url.origin != origin:
                question = replace(question, secrets={})

    def _next(self, url: Url, location: str) -> Url:
        try:
            following = urljoin(str(url), location)
            found = read_url(following, self._rules, longest=MAX_LOCATION)
        except ValueError as error:
            raise EgressError(f"{url.host} redirects to where we do not go") from error
        if url.scheme == "https" and found.scheme != "https":
            raise EgressError(f"{url.host} redirects from https to http")
        return found

    @contextmanager
    def _ask(
        self, url: Url, question: Question, allowance: Allowance
    ) -> Iterator[Answer]:
        sent = {"host": url.authority, "user-agent": "sentrascan", "accept": "*/*"}
        given = (*question.headers.items(), *question.secrets.items())
        sent |= {name.lower(): value for name, value in given}
        sent["accept-encoding"] = "identity"
        if question.body:
            sent["content-length"] = str(len(question.body))
        request = httpcore.Request(
            question.method,
            httpcore.URL(
                scheme=url.scheme, host=url.host, port=url.port, target=url.target
            ),
            headers=list(sent.items()),
            content=question.body,
            extensions={
                "timeout": {
                    "connect": self._rules.connect_seconds,
                    "read": self._rules.answer_seconds + self._rules.period_seconds,
                    "write": self._rules.connect_seconds,
                    "pool": self._rules.connect_seconds,
                }
            },
        )
        self._pace.await_answer(url.host)
        with _plain_words(url.host):
            response = self._pool.handle_request(request)
        try:
            self._pace.await_body()
            yield Answer(url, response, allowance, is_endless=question.is_endless)
        finally:
            response.close()


@contextmanager
def _plain_words(host: str) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise EgressError(f"{host} did not answer in time") from error
    except httpcore.ConnectError as error:
        _explain_connection(host, error)
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise EgressError(f"{host} broke off or sent no valid answer") from error


def _explain_connection(host: str, error: httpcore.ConnectError) -> NoReturn:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise EgressError(f"the certificate of {host} is not valid") from error
        cause = cause.__cause__ or cause.__context__
    raise EgressError(f"{host} cannot be reached") from error
