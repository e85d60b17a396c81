"""Edits of YAML text: scalars, keys of a mapping, items of a list; all else stays as it is."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.catalog.document import Pointer, Sealed
from qmonus_lite.catalog.yaml_reader import reader


def replace_scalars(source: str, new: Mapping[Pointer, Sealed]) -> str:
    """The YAML text with these scalars replaced and every other character unchanged."""
    root = reader().compose(source)
    spans = []
    for pointer, value in new.items():
        node = root
        for step in pointer:
            node = _child(node, step)
        spans.append((node.start_mark.index, node.end_mark.index, value))
    for start, end, value in sorted(spans, key=lambda span: span[0], reverse=True):
        # The span of a block includes its trailing line breaks.
        end = start + len(source[start:end].rstrip())
        source = f"{source[:start]}!sealed {value.text}{source[end:]}"
    return source


def set_texts(source: str, pointer: Pointer, after: str, new: Mapping[str, str | None]) -> str:
    """The YAML text with strings set in the mapping at `pointer`, and nothing else changed.

    A new key is inserted after the key `after`; a value of None removes its key.
    """
    for key, value in new.items():
        node = reader().compose(source)
        for step in pointer:
            node = _child(node, step)
        names = [name.value for name, _ in node.value]
        end = _ends(source, node.value[names.index(key if key in names else after)][1])
        if value is None and key in names:
            # From the end of the preceding pair, to remove its comma or line break too.
            start = _ends(source, node.value[names.index(key) - 1][1])
            source = source[:start] + source[end:]
        elif value is not None and key in names:
            start = node.value[names.index(key)][1].start_mark.index
            source = source[:start] + value + source[end:]
        elif value is not None:
            column = node.value[0][0].start_mark.column
            gap = ", " if node.flow_style else "\n" + " " * column
            source = f"{source[:end]}{gap}{key}: {value}{source[end:]}"
    return source


def remove_item(source: str, index: int) -> str:
    """The YAML text of a list of several items without one, and nothing else changed.

    Raises ValueError for a text that would have another meaning then.
    """
    node = reader().compose(source)
    starts, ends = zip(
        *((item.start_mark.index, _ends(source, _last(item))) for item in node.value), strict=True
    )
    if not node.flow_style:
        # Whole lines, from the dash.
        start = source.rfind("-", 0, starts[index])
        end = source.find("\n", ends[index]) + 1 or len(source)
    elif index:
        start, end = ends[index - 1], ends[index]
    else:
        start, end = starts[0], starts[1]
    left = source[:start] + source[end:]
    before, after = (list(reader().load(text)) for text in (source, left))
    if after != before[:index] + before[index + 1 :]:
        raise ValueError("the item cannot be taken out")
    return left


def _ends(source: str, node: Any) -> int:
    """End of a node's own text, without the trailing line breaks of a block."""
    return int(node.start_mark.index) + len(
        source[node.start_mark.index : node.end_mark.index].rstrip()
    )


def _last(node: Any) -> Any:
    """The last scalar of a block, whose own end would be that of the comments behind it."""
    while not isinstance(node.value, str) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node


def _child(node: Any, step: str | int) -> Any:
    """The node below a composed node."""
    if isinstance(step, int):
        return node.value[step]
    return next(value for key, value in node.value if key.value == step)
