"""The shell's recipes of examples/shell run as they stand, and print what their document says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.snippets import Snippet, Workplace, check_output, snippets, workplace

RECIPES = snippets("examples/shell/README.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path_factory.mktemp("shell")) as place:
        yield place


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_prints_what_is_written_below_it(recipe: Snippet, place: Workplace) -> None:
    assert recipe.output is not None
    check_output(recipe, place.run(recipe))


def test_there_is_a_recipe_for_each_tool() -> None:
    text = "\n".join(each.text for each in RECIPES)
    for tool in ("printf", "jq -nc", "<<'END'", "xargs", "--unbuffered", "--output-dir", "coproc"):
        assert tool in text


def test_a_recipe_that_prints_otherwise_is_noticed() -> None:
    recipe = Snippet("x.md", 1, "sh", "", "one … three\n")
    check_output(recipe, "one two three\n")
    for printed in ("one two\n", "one two three\nfour\n", ""):
        with pytest.raises(AssertionError):
            check_output(recipe, printed)
