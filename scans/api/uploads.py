"""Multipart bodies, streamed to disk and hashed on the way (RFC 7578).

Nothing of a body that ends early, is too large or is malformed stays behind: a file is
one only when its closing boundary has arrived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser, DataAndFiles
from rest_framework.request import Request

from scanners import strict_json
from scanners.contract import TargetKind
from scans.storage import Received, Receiver, TooLarge

# Boundaries, headers and text fields around the files.
FRAME_BYTES = 64 << 20
# A boundary has at most 70 characters (RFC 2046, 5.1.1); white space may follow.
TAIL_BYTES = 4096
FILE_FIELDS = frozenset({"file", "config"})
REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Part:
    """A received file as Django's request keeps it: closed when the request ends."""

    received: Received

    @property
    def name(self) -> str:
        return self.received.name

    def close(self) -> None:
        # What intake stored is no longer there; all else goes with the request.
        self.received.discard()


class ReceivingHandler(FileUploadHandler):
    """Writes each file to `storage.Receiver`; the limit is for all files together."""

    chunk_size = 1 << 18  # larger ones leave the processor's cache before their hash

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit
        self._receiver: Receiver | None = None

    def new_file(
        self, field_name: str, file_name: str, *args: Any, **kwargs: Any
    ) -> None:
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name not in FILE_FIELDS:
            raise ValidationError({field_name: ["Unknown file field."]})
        if reason := name_fault(file_name):
            raise ValidationError({field_name: [f"{file_name[:80]!r}: {reason}"]})
        self._receiver = Receiver(file_name, limit=self._left)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._receiver is not None  # noqa: S101 - new_file came before
        self._left -= len(raw_data)
        self._receiver.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        if self._receiver is None:
            return None
        receiver, self._receiver = self._receiver, None
        return Part(receiver.finish())

    def discard(self) -> None:
        if self._receiver is not None:
            self._receiver.discard()


class _Parser(MultiPartParser):
    _boundary: bytes

    def sanitize_file_name(self, file_name: str) -> str:
        # A folder arrives as relative names; Django would keep the last part only.
        return file_name


class _WholeStream:
    """The body, which must be as long as it was said to be and end as it should."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream = stream
        self._left = length
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        if not wanted:
            return b""
        data = self._stream.read(wanted)
        if not data:
            raise UnreadablePostError("the client went away")
        self._left -= len(data)
        # Only the ends are joined: a copy of each chunk costs as much as its hash.
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        return data

    def ended_with(self, boundary: bytes) -> bool:
        return not self._left and b"--" + boundary + b"--" in self._tail


class UploadParser(BaseParser):
    """`multipart/form-data` to texts and `Part`s."""

    media_type = "multipart/form-data"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> DataAndFiles[Any, Any]:
        meta = (parser_context or {})["request"].META
        length = int(meta.get("CONTENT_LENGTH") or 0)
        if length > settings.MAX_UPLOAD_BYTES + FRAME_BYTES:
            raise TooLarge(settings.MAX_UPLOAD_BYTES)
        whole = _WholeStream(stream, length)
        handler = ReceivingHandler(settings.MAX_UPLOAD_BYTES)
        try:
            parser = _Parser({**meta, "CONTENT_TYPE": media_type}, whole, [handler])  # type: ignore[arg-type]  # its stubs want a file
            data, files = parser.parse()
        except MultiPartParserError as error:
            raise ParseError(f"This is not multipart/form-data: {error}") from error
        finally:
            handler.discard()
        if not whole.ended_with(parser._boundary):
            for _, parts in files.lists():
                for part in parts:
                    part.close()
            raise UnreadablePostError("no closing boundary")
        return DataAndFiles(data, files)


def name_fault(name: str) -> str:
    """Return why a file may not be called `name`, '' when it may."""
    if REPLACEMENT in name:
        return "The name is not UTF-8."
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        return "The name holds control characters."
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "The name is absolute; send a relative one."
    if any(part in {"", ".", ".."} for part in parts):
        return "The name leaves its folder or has an empty part."
    return ""


def texts_of(form: Any) -> dict[str, Any]:
    """Return a form's text fields with the types that the JSON body has.

    What cannot be read stays text, and the field's own check names it.
    """
    values: dict[str, Any] = {}
    for name, texts in form.lists():
        if any(REPLACEMENT in text for text in texts):
            raise ValidationError({name: ["This is not UTF-8 text."]})
        if name == "scanners":
            names = [part.strip() for text in texts for part in text.split(",")]
            values[name] = names
        elif name == "file":
            raise ValidationError({name: ["Send it as a file, with a file name."]})
        elif len(texts) > 1:
            raise ValidationError({name: ["Given more than once."]})
        else:
            values[name] = _typed(name, texts[0])
    return values


def _typed(name: str, text: str) -> Any:
    match name:
        case "timeout_seconds" if text.isascii() and text.isdecimal():
            return int(text[:12])
        case "introspect" | "introspect_network" if text in {"true", "false"}:
            return text == "true"
        case "labels":
            try:
                return strict_json.parse(text.encode())
            except strict_json.DocumentError as error:
                raise ValidationError({name: [error.message]}) from error
        case _:
            return text


def received_files(request: Request) -> list[Part]:
    """Return the request's files in order; raise `ValidationError` for none or too big.

    The field `config` comes first: further files are the sources of the servers in it.
    """
    fields = sorted(request.FILES.lists(), key=lambda field: field[0] != "config")
    parts = [part for _, parts in fields for part in parts]
    if not parts:
        raise ValidationError({"file": ["Send at least one file."]})
    is_mcp = request.POST.get("scan_type") == TargetKind.MCP
    if "config" in request.FILES and not is_mcp:
        raise ValidationError({"config": ["Only for scan_type mcp."]})
    return parts
