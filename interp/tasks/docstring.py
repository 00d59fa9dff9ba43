"""Does the model document a function's arguments in the order in which they are defined?

Two of four arguments are documented; after the next ":param" the third is to come. The wrong answer
is the fourth, which is not documented yet either. The corrupted prompt defines four other arguments
above the same documentation.

Source  Heimersheim & Janiak 2023, A circuit for Python docstrings in a 4-layer attention-only
        transformer (the task; the functions and lists are our own).
"""

from functools import partial
from math import perm

from interp.tasks.base import Prompt
from interp.tasks.pairs import pair
from interp.tasks.reader import Reader, fill
from interp.tasks.recipe import Pick, Recipe, Words, numbered

SENTENCES = (
    '''def load(self, {first}, {second}, {third}, {fourth}):
    """Read it back from the disk.

    :param {first_again}: the {one}
    :param {second_again}: the {two}
    :param''',
    """public void send(int {first}, int {second}, int {third}, int {fourth});
// @param {first_again} is one {one}
// @param {second_again} is one {two}
// @param""",
    '''def draw(self, {first}, {second}, {third}, {fourth}):
    """Puts figures onto a page.

    Args:
      - {first_again}: {one} of every figure
      - {second_again}: {two} of that page
      -''',
    """function merge( {first}, {second}, {third}, {fourth} ) {{
  // makes both into one
  // {first_again} = old {one}
  // {second_again} = new {two}
  //""",
    r"""bool check(long {first}, long {second}, long {third}, long {fourth});
/// \brief Complain unless all goes well.
/// \arg {first_again} what {one} holds
/// \arg {second_again} what {two} holds
/// \arg""",
    """fn build(self, {first}: u8, {second}: u8, {third}: u8, {fourth}: u8) -> Self
/// # Arguments
/// * {first_again}: number of {one} units
/// * {second_again}: number of {two} units
/// *""",
    '''def search(self, {first}, {second}, {third}, {fourth}):
    """Find matches.

    Parameters
    ----------
    var: {first_again}
        Anything with {one}.
    var: {second_again}
        Anything with {two}.
    var:''',
    """usage: store {first} {second} {third} {fourth}

keeps things until needed

argument {first_again} takes your {one}
argument {second_again} takes your {two}
argument""",
    """CREATE VIEW updates ( {first} INT, {second} INT, {third} INT, {fourth} INT );
COMMENT: here {first_again} has {one}
COMMENT: here {second_again} has {two}
COMMENT: here""",
    """(defun drop-them (&optional {first} {second} {third} {fourth})
  ; moves everything away
  ; where {first_again} means which {one}
  ; where {second_again} means which {two}
  ; where""",
    """private Task Start(object {first}, object {second}, object {third}, object {fourth})
<summary>Begin listening.</summary>
<param> {first_again} </param> gives {one}
<param> {second_again} </param> gives {two}
<param>""",
    """def render( {first}, {second}, {third}, {fourth} )
  # Shows it as HTML.
  # @option {first_again} => any {one}
  # @option {second_again} => any {two}
  # @option""",
    "The function parse takes {first}, {second}, {third} and {fourth}. Of these, {first_again} "
    "sets {one}; next, {second_again} sets {two}; finally,",
    """func Sort(ctx Context, {first} string, {second} string, {third} string, {fourth} string) error
// Sort puts lines in sequence:
// given {first_again}, by {one}
// given {second_again}, by {two}
// given""",
    '''async def reset(*, {first}: str, {second}: str, {third}: str, {fourth}: str) -> None:
    """Goes to where we started.

    Keyword {first_again}: our {one}
    Keyword {second_again}: our {two}
    Keyword''',
    """paths: /copy
  required: [ {first}, {second}, {third}, {fourth} ]
  properties:
    entry {first_again}: must hold {one}
    entry {second_again}: must hold {two}
    entry""",
    """function result = fit( {first}, {second}, {third}, {fourth} )
% FIT  Least squares through points
%   input {first_again} contains {one}
%   input {second_again} contains {two}
%   input""",
    """plot {first} {second} {third} {fourth} = undefined
-- ^ Paint a curve
-- using {first_again} for {one}
-- using {second_again} for {two}
-- using""",
    """$ convert --help
Convert reads {first}, {second}, {third}, {fourth} in this sequence.

  flag {first_again} picks another {one}
  flag {second_again} picks another {two}
  flag""",
    """sub encode; # expects {first}, {second}, {third}, {fourth}

=item {first_again}

bytes per {one}

=item {second_again}

bytes per {two}

=item""",
    """open_it <- function( {first}, {second}, {third}, {fourth} ) NULL
#' @details {first_again} tells us {one}
#' @details {second_again} tells us {two}
#' @details""",
    '''class Trainer:
    def __init__(self, {first}, {second}, {third}, {fourth}):
        """Attributes: {first_again} (from {one}), {second_again} (from {two}),''',
    """### Method filter( {first}, {second}, {third}, {fourth} )

| Argument | Meaning |
| --- | --- |
| {first_again} | chosen {one} |
| {second_again} | chosen {two} |
|""",
    """func scale(by {first}: Double, {second}: Double, {third}: Double, {fourth}: Double)
/// - Parameter {first_again}: desired {one}
/// - Parameter {second_again}: desired {two}
/// - Parameter""",
)
WORDS = """
size file name text line path type data value list key state index color width height order level
group page time code user image version field table note shape model length date label message count
limit offset speed weight depth angle radius source target parent child node edge graph tree root
branch style font language host port address token session request response query format mode prefix
buffer channel signal frame window mask matrix vector column block region zone rate scale
point result number step
"""


def recipe(reader: Reader) -> Recipe:
    """Ten different words a prompt: four arguments, four others, and two that document."""
    words = Words("argument names", reader.single(WORDS.split()), 10)
    return Recipe(
        "docstring",
        numbered(SENTENCES),
        1,
        {"word": words},
        partial(_draw, reader),
        different=lambda words: perm(len(words["word"]), 10),
        corrupted=lambda words: perm(len(words["word"]), 10),
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    drawn = pick.some("word", 10)
    here, there, (one, two) = drawn[:4], drawn[4:8], drawn[8:]
    same = {"first_again": here[0], "second_again": here[1], "one": one, "two": two}
    clean, ends = fill(SENTENCES[template], **_defined(here), **same)
    corrupted, _ = fill(SENTENCES[template], **_defined(there), **same)
    named = ("first", "second", "third", "fourth", "first_again", "second_again")
    made = pair(
        reader,
        clean,
        corrupted,
        (f" {here[2]}", f" {here[3]}"),
        template=f"s{template + 1:02}",
        ends={name: ends[name][0] for name in named},
        item=here[2],
        fillers=drawn,
    )
    return [made]


def _defined(arguments: list[str]) -> dict[str, str]:
    return dict(zip(("first", "second", "third", "fourth"), arguments, strict=True))
