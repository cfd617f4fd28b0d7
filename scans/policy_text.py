"""Policies as YAML: read without trust, written so that it reads back the same. Pure.

YAML can say with a few bytes what fills a memory (anchors), run code (tags) and say one
key twice. None of that has a use in a policy, so none of it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from scanners import strict_json

MAX_BYTES = 64 << 10
MAX_DEPTH = 8
MAX_NODES = 5_000
# The widest that a list may be and still stand in one line.
WIDTH = 88


class PolicyTextError(ValueError):
    """The text is no YAML of a policy; the message says where and why."""


def read(text: str | bytes) -> Any:
    """Return the value of a YAML document, of JSON's types alone.

    Whether it is a policy is another question. Raises `PolicyTextError`.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise PolicyTextError(f"a policy has at most {MAX_BYTES} bytes")
    try:
        words = raw.decode("utf-8-sig")
        _check_events(words)
        value = yaml.load(words, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
        strict_json.check(value)
    except PolicyTextError:
        raise
    except UnicodeDecodeError:
        raise PolicyTextError("this is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise PolicyTextError(_said(error)) from None
    except strict_json.DocumentError as error:
        raise PolicyTextError(str(error)) from None
    except (ValueError, OverflowError) as error:
        # Of its own constructors: a date of a 13th month, a number of many digits.
        raise PolicyTextError(f"this is not YAML: {error}") from None
    return value


def write(document: Mapping[str, Any]) -> str:
    """Return the document as YAML, its keys in their order."""
    # In ASCII: of some characters beyond it yaml writes what reads back as others.
    text: str = yaml.safe_dump(dict(document), sort_keys=False, width=WIDTH)
    return text


class _Loader(yaml.SafeLoader):
    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} stands twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _check_events(text: str) -> None:
    """Refuse by the parser's events, before anything is built of them."""
    depth = documents = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refused("anchors and aliases are not read", event)
        if tag := getattr(event, "tag", None):
            raise _refused(f"the tag {tag} is not read", event)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _refused(f"nested more than {MAX_DEPTH} levels deep", event)
        if nodes > MAX_NODES:
            raise _refused(f"more than {MAX_NODES} parts", event)
        if documents > 1:
            raise _refused("one document is read, and here are more", event)


def _refused(why: str, event: yaml.Event) -> PolicyTextError:
    return PolicyTextError(f"{why}{_where(event.start_mark)}")


def _said(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{problem}{_where(mark)}"


def _where(mark: Any) -> str:
    # A yaml.Mark, of which its types know two.
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
