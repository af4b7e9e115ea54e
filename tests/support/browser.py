"""JavaScript of the site, run in a browser without a window, or by Node.js."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

ASSETS = Path(__file__).resolve().parents[2] / "docs" / "assets"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               None)  # fmt: skip
NODE = shutil.which("node")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--disable-quic", "--allow-file-access-from-files", "--dump-dom")  # fmt: skip
_MARK = "result-of-the-script"


def in_browser(
    scripts: list[str], code: str, body: str = "", *, flags: tuple[str, ...] = ()
) -> object:
    """What `code`, the body of a function, returns in a page that has loaded `scripts`.

    Timers of the page run ahead: ten seconds of them pass at once. `flags` are the browser's.
    """
    lines = [f'<script src="{(ASSETS / name).as_uri()}"></script>' for name in scripts]
    run = f"""<script>window.addEventListener("load", async () => {{
      let result;
      try {{ result = {{value: await (async () => {{ {code} }})()}}; }}
      catch (error) {{ result = {{error: String(error.stack || error)}}; }}
      const pre = document.createElement("pre");
      pre.id = "{_MARK}";
      pre.textContent = encodeURIComponent(JSON.stringify(result));
      document.body.append(pre);
    }});</script>"""
    page = f"<!doctype html><meta charset=utf-8><body>{body}{''.join(lines)}{run}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page)
        command = [BROWSER, *_FLAGS, f"--user-data-dir={folder}/profile",
                   "--virtual-time-budget=10000", *flags, file.as_uri()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "HOME": folder})  # fmt: skip
    _, found, rest = done.stdout.partition(f'id="{_MARK}">')
    assert found, done.stderr[-2000:]
    return _value(unquote(rest.partition("</pre>")[0]))


def in_node(scripts: list[str], code: str) -> object:
    """The same by Node.js, without a page."""
    text = "\n".join((ASSETS / name).read_text() for name in scripts)
    run = f"process.stdout.write(JSON.stringify({{value: (() => {{ {code} }})()}}))"
    done = subprocess.run([NODE, "-e", f"{text}\n{run}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return _value(done.stdout)


def _value(text: str) -> object:
    result = json.loads(text)
    assert "error" not in result, result
    return result.get("value")
