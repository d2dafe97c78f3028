"""params.yaml with one pair's entry changed, and what that changes in it."""

from collections.abc import Mapping
from difflib import unified_diff
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from tasks.params import PARAMS_FILE


class _Representer(RoundTripRepresenter):
    """`null` stays the word."""

    def represent_none(self, data: Any) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def with_overrides(text: str, pair: str, overrides: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of params.yaml with `overrides` over what `pairs.<pair>` holds; all else, comments included, is kept."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 2**16  # lines stay as they are
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(text)
    for section, values in overrides.items():
        content["pairs"][pair][section].update(values)
    written = StringIO()
    yaml.dump(content, written)
    return written.getvalue()


def difference(before: str, after: str) -> str:
    """What changes in params.yaml, as `diff -u` shows it."""
    name = str(PARAMS_FILE)
    return "".join(unified_diff(before.splitlines(True), after.splitlines(True), name, name))
