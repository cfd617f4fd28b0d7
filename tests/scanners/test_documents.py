"""What an MCP client may submit, and what it becomes."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners.documents import (
    DocumentError,
    canonical,
    elements_of,
    read_document,
    servers_of,
)
from scanners.numbered_json import numbered_lines
from tests.scanners.mcp_samples import GITHUB_TOKEN, MANY, document, tool

SERVER = {"command": "npx", "args": ["-y", "x"]}
TOOLS = [tool("add", "Add."), tool("sub", "Subtract.")]
CONFIG = {"mcpServers": {"a": SERVER}}


def read(value: Any) -> dict[str, Any]:
    return read_document(json.dumps(value).encode())


@pytest.mark.parametrize(
    "submitted",
    [
        {"mcpServers": {"a": SERVER}},
        {"servers": {"a": SERVER}},
        {"mcp": {"servers": {"a": SERVER}}},
        {"mcp": {"mcpServers": {"a": SERVER}}},
        {"amp.mcpServers": {"a": SERVER}},
        {"projects": {"/src": {"mcpServers": {"a": SERVER}}}},
        {"context_servers": {"a": SERVER}},
        {"a": SERVER},
        {"config": {"mcpServers": {"a": SERVER}}},
        {"config": {"servers": {"a": SERVER}}},
        {"config": {"a": SERVER}},
        {"mcpServers": {"a": SERVER}, "tools": {"allowed": ["x"]}},
    ],
)
def test_it_finds_the_servers_of_every_client(submitted: dict[str, Any]) -> None:
    read_in = read(submitted)

    assert servers_of(read_in) == {"a": SERVER}
    assert [element.path for element in elements_of(read_in)] == ["servers/a"]


@pytest.mark.parametrize(
    "submitted",
    [
        TOOLS,
        {"tools": TOOLS},
        {"result": {"tools": TOOLS}},
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": TOOLS, "nextCursor": None}},
    ],
)
def test_it_reads_a_list_of_tools_in_any_frame(submitted: Any) -> None:
    assert read(submitted) == document(tools=TOOLS)


def test_it_takes_a_settings_file_with_lists_apart() -> None:
    read_in = read({"mcpServers": {"a": SERVER}, "tools": TOOLS, "inputs": []})

    assert read_in["tools"] == TOOLS
    assert read_in["config"] == {"mcpServers": {"a": SERVER}, "inputs": []}


def test_it_reads_pieces_that_come_as_a_mapping() -> None:
    pieces = {"tools": TOOLS, "instructions": "Be kind.", "config": None}

    read_in = read_document(pieces)

    assert read_in == document(tools=TOOLS, instructions="Be kind.")


def test_it_counts_resource_templates_as_resources() -> None:
    read_in = read({"resourceTemplates": [{"uriTemplate": "db://{table}"}]})

    assert [e.path for e in elements_of(read_in)] == ["resources/db://{table}"]


@pytest.mark.parametrize(
    "servers",
    [
        {"mcpServers": {"a": SERVER}},
        {"servers": {"a": SERVER}},
        {"mcp": {"servers": {"a": SERVER}}},
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_what_a_server_lists_is_no_setting_of_its_client(
    servers: dict[str, Any], is_wrapped: bool
) -> None:
    listed = {
        "tools": TOOLS,
        "prompts": [{"name": "p"}],
        "resources": [{"uri": "file:///a"}],
        "resourceTemplates": [{"uriTemplate": "db://{table}"}],
        "serverInfo": {"name": "x", "description": "Obey."},
    }
    submitted = {**servers, **listed}

    read_in = read({"config": submitted} if is_wrapped else submitted)

    paths = [element.path for element in elements_of(read_in)]
    assert paths == [
        "servers/a",
        *(f"tools/{each['name']}" for each in TOOLS),
        "prompts/p",
        *("resources/file:///a", "resources/db://{table}"),
        "instructions",
    ]
    assert read_in["config"].keys() == servers.keys() | {"serverInfo"}


@pytest.mark.parametrize(
    ("submitted", "pointer"),
    [
        ({"tools": [tool("a"), tool(5)]}, "/tools/1/name"),
        ({"result": {"tools": [1]}}, "/result/tools/0"),
        # A client reads the servers, and a scan would read the answer alone.
        ({"mcpServers": {"a": SERVER}, "result": {"tools": TOOLS}}, "/mcpServers"),
        ({"servers": {"a": SERVER}, "result": {"tools": TOOLS}}, "/servers"),
        ({"mcp": {"servers": {"a": SERVER}}, "result": {"tools": TOOLS}}, "/mcp"),
        ([tool("a"), []], "/1"),
        ({"tools": {"a": 1}}, "/tools"),
        ({"tools": [tool("x" * 1025)]}, "/tools/0/name"),
        ({"resources": [{"uri": 5}]}, "/resources/0/uri"),
        ({"instructions": ["x"]}, "/instructions"),
        ({"mcpServers": {"a": "x"}}, "/mcpServers/a"),
        ({"mcpServers": {"a/b~c": 1}}, "/mcpServers/a~1b~0c"),
        ({"mcpServers": []}, "/mcpServers"),
        ({"servers": [SERVER]}, "/servers"),
        ({"config": {"mcpServers": {"a": 1}}}, "/config/mcpServers/a"),
        ({"config": 5}, "/config"),
        ({"config": {"x": 1}}, "/config"),
        # Which of them would a reader take for the list?
        ({"config": {**CONFIG, "tools": TOOLS}, "tools": TOOLS}, "/config/tools"),
        ({"config": {**CONFIG, "tools": [1]}}, "/config/tools/0"),
        ({**CONFIG, "resourceTemplates": [1]}, "/resourceTemplates/0"),
        ({"tools": [], "secrets": 1}, "/secrets"),
        ({"tools": [], "nextCursor": "p2"}, "/nextCursor"),
        ({"tools": [{"name": "a", "n": 2**60}]}, "/tools/0/n"),
        ({"tools": [{"name": "\ud800"}]}, "/tools/0/name"),
        ({}, ""),
        ("text", ""),
        (5, ""),
        (None, ""),
    ],
)
def test_it_says_where_a_document_is_wrong(submitted: Any, pointer: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(submitted)

    assert caught.value.pointer == pointer
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"tools": [NaN]}',
        b'{"tools": [{"n": 1e999}]}',
        b'{"tools": [{"n": ' + b"9" * 5000 + b"}]}",
        b'{"mcpServers": {}, "mcpServers": {"a": {"command": "x"}}}',
        b'{"tools": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"tools": [{"inputSchema": ' + b'{"a":' * 70 + b"1" + b"}" * 72 + b"]}",
    ],
)
def test_it_refuses_what_readers_read_differently(raw: bytes) -> None:
    with pytest.raises(DocumentError):
        read_document(raw)


def test_it_reads_a_file_with_a_byte_order_mark() -> None:
    assert read_document(b"\xef\xbb\xbf" + json.dumps(TOOLS).encode())["tools"] == TOOLS


def test_every_element_has_a_path_of_its_own() -> None:
    names = [tool("a"), tool("a"), tool("a#2"), tool("a"), {}, tool("#5"), tool("")]

    paths = [e.path for e in elements_of(document(tools=names))]

    assert paths[:2] == ["tools/a", "tools/a#2"]
    assert paths[4] == "tools/#5"
    assert len(set(paths)) == len(names)


def test_elements_stand_in_the_order_of_the_document() -> None:
    assert [e.path for e in elements_of(MANY)] == [
        "tools/add",
        "tools/weather",
        "tools/weather#2",
        "tools/#4",
        "tools/bare",
        "tools/number",
        "tools/remote",
        "tools/hidden",
        "prompts/ask",
        "prompts/leak",
        "resources/weather://today",
        "resources/file:///x",
        "instructions",
    ]


def test_equal_elements_have_equal_digests_whatever_their_key_order() -> None:
    left = elements_of(document(tools=[{"name": "a", "description": "b"}]))
    right = elements_of(document(tools=[{"description": "b", "name": "a"}]))

    assert left == right
    assert left[0].size == len(b'{"description":"b","name":"a"}')


def test_a_path_holds_no_control_character_and_no_secret() -> None:
    uri = f"https://x.example/?token={GITHUB_TOKEN}"
    paths = [
        element.path
        for element in elements_of(
            document(tools=[tool("a\0b\nc")], resources=[{"uri": uri}])
        )
    ]

    assert paths == [
        "tools/a\\x00b\\x0ac",
        "resources/https://x.example/?token=ghp_********",
    ]


def test_ten_thousand_tools_are_a_document() -> None:
    read_in = read([tool(f"tool_{n}", "Add." * 100) for n in range(10_000)])

    assert len(elements_of(read_in)) == 10_000


def test_more_elements_than_the_limit_are_refused() -> None:
    with pytest.raises(DocumentError):
        read([{"name": "a"}] * 20_001)


def test_long_keys_above_many_values_take_no_memory() -> None:
    schema = {"k" * 100_000: [0] * 10_000}
    raw = json.dumps({"tools": [tool("a", inputSchema=schema)]}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError) as caught:
            read_document(raw)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.pointer == "/tools/0/inputSchema"
    assert most < 50 * len(raw)


def test_more_secrets_than_can_be_masked_are_refused() -> None:
    env = {f"TOKEN_{n}": f"{GITHUB_TOKEN}{n}" for n in range(1001)}

    with pytest.raises(DocumentError):
        read({"mcpServers": {"a": {"command": "x", "env": env}}})


def test_the_canonical_form_knows_no_order_of_keys() -> None:
    assert canonical({"b": 1, "a": [1.0, "é"]}) == '{"a":[1,"é"],"b":1}'.encode()


@pytest.mark.parametrize("value", [float("nan"), 2**60, {"a": float("inf")}])
def test_what_has_no_canonical_form_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical({"a": value})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda child: st.lists(child) | st.dictionaries(st.text(), child),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES)
def test_any_json_is_a_document_or_a_document_error(value: Any) -> None:
    try:
        read_in = read(value)
    except DocumentError:
        return
    paths = [element.path for element in elements_of(read_in)]
    assert len(set(paths)) == len(paths)
    assert len(servers_of(read_in)) == sum(p.startswith("servers/") for p in paths)


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES)
def test_numbered_lines_are_the_same_json(value: Any) -> None:
    lines = numbered_lines(value)

    assert json.loads("\n".join(line.text for line in lines)) == value
    assert not any("\n" in line.text or "\r" in line.text for line in lines)
