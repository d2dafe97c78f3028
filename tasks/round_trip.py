"""YAML of the project's own that is changed in place: comments, quotes and line breaks stay."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter


class _Representer(RoundTripRepresenter):
    """`null` stays the word."""

    def represent_none(self, data: Any) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def round_trip() -> YAML:
    """A reader and writer in the style of params.yaml and dvc.yaml."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 2**16  # lines stay as they are
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def not_yaml(error: MarkedYAMLError) -> str:
    """What is wrong with a text that is no YAML, and on which line."""
    where = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
    return f"not YAML at {where}: {error.problem}"
