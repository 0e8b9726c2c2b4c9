"""Sphinx: Markdown pages, and a reference from docstrings."""

import atexit
import os
import shutil
import tempfile
from importlib.metadata import version as version_of

# The reference imports Airflow, which makes folders at its home: not in that of whoever builds the site.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

project = "fileflow_async"
author = "The fileflow_async authors"
release = version = version_of("fileflow-async")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True}
default_role = "code"  # docstrings quote code as Markdown does
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"fileflow_async {release}"
html_copy_source = False
