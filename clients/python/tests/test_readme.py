import doctest
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import reference  # noqa: E402  # A script beside the package.

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_examples_are_true(key, url, tmp_path, monkeypatch):
    monkeypatch.setenv("HOLISTICS_HOST", url)
    monkeypatch.setenv("HOLISTICS_KEY", key)
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(README.read_text(), {}, "README.md", str(README), 0)
    assert len(examples.examples) > 10
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples)
    assert results.failed == 0


def test_the_page_of_docs_is_what_the_docstrings_say():
    page = README.parents[2] / "docs/python.md"
    assert page.read_text() == reference.page(), "python clients/python/reference.py > docs/python.md"
