"""An example beside every answer of the schema: what a real installation said.

One for each shape (`answer_examples.json`); a test holds them to the schema. An
operation with an example of its own keeps that.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from drf_spectacular.generators import SchemaGenerator

type Document = dict[str, Any]

FILE = Path(__file__).with_name("answer_examples.json")
_COMPONENT = "#/components/schemas/"


@cache
def recorded() -> Document:
    """Return component -> an answer of its shape."""
    examples: Document = json.loads(FILE.read_text(encoding="utf-8"))
    return examples


def exemplify(
    result: Document, generator: SchemaGenerator, request: object, public: bool
) -> Document:
    """drf-spectacular's hook: give each JSON answer without an example one."""
    schemas = result["components"]["schemas"]
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, response in operation.get("responses", {}).items():
                content = response.get("content", {}).get("application/json")
                if status.startswith("2") and content and "examples" not in content:
                    _exemplify(content, schemas)
    return result


def _exemplify(content: Document, schemas: Document) -> None:
    schema = _resolved(content["schema"], schemas)
    is_list = schema.get("type") == "array"
    name = _name(schema["items"] if is_list else content["schema"])
    if name in recorded():
        value = recorded()[name]
        shown = {"value": [value] if is_list else value}
        content["examples"] = {"Recorded": shown}


def _resolved(schema: Document, schemas: Document) -> Document:
    found: Document = schemas.get(_name(schema), schema)
    return found


def _name(schema: Document) -> str:
    return str(schema.get("$ref", "")).removeprefix(_COMPONENT)
