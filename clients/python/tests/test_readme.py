import doctest
import pathlib

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_examples_are_true(key, url, tmp_path, monkeypatch):
    monkeypatch.setenv("HOLISTICS_HOST", url)
    monkeypatch.setenv("HOLISTICS_KEY", key)
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(README.read_text(), {}, "README.md", str(README), 0)
    assert len(examples.examples) > 10
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples)
    assert results.failed == 0
