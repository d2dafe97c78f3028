"""The one exception that a user's mistake raises."""

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import metadata
from io import TextIOWrapper
from typing import Any, NoReturn


class UserError(Exception):
    """What is wrong, where (file, row, column, key), and what to do: one line, shown without a traceback."""


def exits_cleanly(main: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command's entry point, so that no user sees a traceback for what is not a defect.

    A UserError, a package that is not installed or a file that the system refuses is one line and exit code 2; Ctrl-C
    one line and 130. A defect of ours keeps its traceback and exits with 70 (EX_SOFTWARE), since 1 is a verdict.
    """

    @wraps(main)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # letters that the terminal has no code for, such as Greek ones
        try:
            return main(*args, **kwargs)
        except KeyboardInterrupt:
            print("interrupted: run the same command again to go on", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except UserError as error:
            message = str(error)
        except OSError as error:
            if error.errno in _DISK_FULL:
                message = f"{error.strerror} while writing {error.filename or 'a file'}: free some space"
            elif error.errno in _REFUSED and error.filename:
                message = f"{error.filename}: {error.strerror}"
            else:
                _defect()
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package in _OURS:
                _defect()
            message = f"the package {package!r} is not installed: `pip install {installed_by(package)}`"
        except Exception:
            _defect()
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)

    return wrapper


def installed_by(package: str) -> str:
    """What pip is to install for `import package`: the extra of this distribution that brings it, else the package."""
    name = _DISTRIBUTIONS.get(package, package)
    try:
        requirements = metadata.requires("confidistill") or []
    except metadata.PackageNotFoundError:
        return name
    of_extra = re.compile(rf"""{re.escape(name)}\b(?![-.]).*extra == ["'](\w+)["']""", re.IGNORECASE)
    extra = next((match[1] for requirement in requirements if (match := of_extra.match(requirement))), None)
    return f"'confidistill[{extra}]'" if extra else name


def _defect() -> NoReturn:
    traceback.print_exc()
    sys.exit(os.EX_SOFTWARE)


_OURS = ("confidistill", "tasks", "flows")
_DISTRIBUTIONS = {"yaml": "pyyaml", "ruamel": "ruamel.yaml", "js_lib_vega_embed": "django-js-lib-vega-embed"}
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EPERM, errno.EROFS}


@contextmanager
def at_key(key: str) -> Iterator[None]:
    """A UserError of the block begins with the key of params.yaml that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
