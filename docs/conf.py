"""Sphinx configuration. Builds without a network, with warnings as errors."""

import re
from importlib.metadata import version as get_version
from pathlib import Path

HERE = Path(__file__).parent

project = "skchaosprune"
author = "The skchaosprune developers"
project_copyright = author
version = release = get_version("skchaosprune")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas render without a network, too
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]

# Pages stay readable on a code host: plain Markdown, headings as anchors.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"demo\.py",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_",),
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skchaosprune",),
    "inspect_global_variables": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "skchaosprune"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages of their own: nothing to navigate beside them.
_SINGLE_PAGES = (
    "changelog",
    "contributing",
    "criteria",
    "extending",
    "getting_started",
    "user_guide",
)
html_sidebars = {page: [] for page in _SINGLE_PAGES}
toc_object_entries_show_parents = "hide"

# What scikit-learn adds to every estimator.
_NOT_OURS = {
    "get_metadata_routing",
    "set_fit_request",
    "set_output",
    "set_score_request",
}


def skip_member(app, what, name, obj, skip, options):
    """Leave out metadata routing, which is documented in scikit-learn."""
    return True if name in _NOT_OURS else None


def drop_foreign_links(app, what, name, obj, options, lines):
    """Keep the text of links that lead into scikit-learn's own guide."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        lines[:] = [re.sub(r":ref:`(.*?)(?: <.*?>)?`", r"\1", line) for line in lines]


def escape_shapes(app, what, name, obj, options, lines):
    """Keep ``(n_weights_,)`` from being read as a link to a target n_weights."""
    lines[:] = [
        re.sub(
            r"of shape \(.*?\)",
            lambda shape: re.sub(r"_(?!\w)", r"\\_", shape[0]),
            line,
        )
        for line in lines
    ]


def write_report_pages(app):
    """Make a page of every report of a benchmark; new ones need no change here."""
    folder = HERE / "generated" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for report in (HERE.parent / "benchmarks").glob("*.md"):
        text = f"```{{include}} ../../../benchmarks/{report.name}\n```\n"
        page = folder / report.name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def localise_links(text):
    """Turn links between files of the repository into links between pages.

    Benchmark reports are pages, scripts are downloads.
    """
    text = re.sub(
        r"\]\((?:\.\./)?benchmarks/(\w+\.md)", r"](/generated/benchmarks/\1", text
    )
    text = re.sub(r"\]\((?:\.\./)?benchmarks/(\w+\.py)", r"](/../benchmarks/\1", text)
    return re.sub(r"\]\(docs/", "](/", text)


def localise_source(app, docname, source):
    """Apply to a page."""
    if docname.partition("/")[0] not in ("auto_examples", "generated"):
        source[0] = localise_links(source[0])


def localise_include(app, path, parent, source):
    """Apply to a file that a page includes."""
    source[0] = localise_links(source[0])


def setup(app):
    """Connect the functions above."""
    app.connect("builder-inited", write_report_pages)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", drop_foreign_links)
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)
    app.connect("source-read", localise_source)
    app.connect("include-read", localise_include)
