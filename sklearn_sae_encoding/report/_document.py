"""The page as a file, a window or a notebook's output."""

import hashlib
import tempfile
import webbrowser
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from string import Template

from nilearn.reporting import HTMLReport

from sklearn_sae_encoding.report._html import text

# Nothing is loaded from anywhere, and no script or style runs but those whose hash stands here.
_POLICY = (
    "default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"
)

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="sklearn-sae-encoding $version">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
<script>$script</script>
</body>
</html>
""")


class EncoderReport(HTMLReport):
    """A report as nilearn's, whose file is the page itself.

    nilearn 0.14 puts the page of a report into a frame of 800 by 800 pixels when it saves or opens it: too small to
    read, and a printer gets its first screen only.
    """

    def save_as_html(self, file_name):
        """Save the page.

        Parameters
        ----------
        file_name : str or path-like
            Where to.
        """
        Path(file_name).write_bytes(self.get_standalone().encode("utf-8"))

    def open_in_browser(self, file_name=None):
        """Save the page and open it.

        Parameters
        ----------
        file_name : str or path-like, default=None
            Where to save it. None is a temporary file.
        """
        if file_name is None:
            with tempfile.NamedTemporaryFile(prefix="encoder_report_", suffix=".html", delete=False) as file:
                file_name = file.name
        self.save_as_html(file_name)
        webbrowser.open(Path(file_name).resolve().as_uri())

    def _repr_html_(self):
        # In a frame, so that neither the notebook's style nor the page's reaches the other.
        return self.get_iframe(width="100%", height=800)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self._repr_html_()}

    def __str__(self):
        return self.get_standalone()


def make_document(title, body, version):
    style, script = _source("report.css"), _source("report.js")
    policy = _POLICY.format(style=_hash(style), script=_hash(script))
    values = {"title": text(title), "style": style, "script": script, "policy": policy, "version": version}
    return EncoderReport(_PAGE, body, head_values=values)


def _source(name):
    return "\n" + (files("sklearn_sae_encoding.report") / name).read_text(encoding="utf-8")


def _hash(source):
    return "sha256-" + b64encode(hashlib.sha256(source.encode("utf-8")).digest()).decode("ascii")
