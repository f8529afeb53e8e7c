"""How Sphinx makes the site: `tox -e docs`, or `sphinx-build -W docs build/site`. Nothing is fetched meanwhile."""

import sys
from pathlib import Path

import perfring

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "perfring"
author = "perfring contributors"
copyright = author
version = release = perfring.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "reference_pages",
    "fact_links",
    "name_links",
    "outside_links",
    "source_links",
]
exclude_patterns = ["_extensions", "examples"]

# Markdown. Anchors are those of the repository's host, so that one link works in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

# Docstrings: Google style; a word in backticks is a link where it names something of ours.
default_role = "py:obj"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_preprocess_types = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
viewcode_line_numbers = True

smartquotes = False  # `--json` is no dash

html_theme = "furo"
html_title = f"perfring {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"
