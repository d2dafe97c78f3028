"""A page for `dvc plots show` that needs no internet: `python -m tasks.plots_page`, once after the installation.

DVC's own page loads Vega from a CDN, and is blank where that cannot be reached. This writes `.dvc/plots.html` with the
scripts inside, as django-js-lib-vega-embed brings them (Vega 5.33.0, Vega-Lite 5.23.0 and Vega-Embed 6.29.0 of npm; no
Django is needed), and names it in `.dvc/config.local`. Both are this clone's alone.
"""

from importlib.resources import files
from pathlib import Path

from confidistill.errors import exits_cleanly
from confidistill.files import atomic_file
from tasks.dvc import repository

PAGE = "plots.html"  # in .dvc/
TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>confidistill: plots</title>
<script>SCRIPTS</script>
<style>body {font-family: sans-serif; margin: 1.5rem}</style>
</head>
<body>
{plot_divs}
</body>
</html>
"""


@exits_cleanly
def main() -> None:
    scripts = files("js_lib_vega_embed").joinpath("static/js_lib_vega_embed/vega-embed-full.js").read_text("utf-8")
    with repository() as repo:
        assert repo.dvc_dir
        with atomic_file(Path(repo.dvc_dir) / PAGE) as path:
            path.write_text(TEMPLATE.replace("SCRIPTS", scripts), encoding="utf-8")
        with repo.config.edit("local") as config:
            config.setdefault("plots", {})["html_template"] = PAGE


if __name__ == "__main__":
    main()
