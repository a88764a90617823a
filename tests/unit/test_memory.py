"""Tests of the memory: bounded whatever is put into it."""

from webhook.memory import Memory

MOST_BYTES = 1_000_000


def test_what_is_kept_is_found() -> None:
    """By a key that is equal."""
    memory: Memory[tuple[str, ...], str] = Memory(MOST_BYTES)

    memory.keep(("a", "b"), "value", 10)

    assert memory.get(("a", "b")) == "value"
    assert memory.get(("a",)) is None


def test_it_never_holds_more_than_its_bytes() -> None:
    """A full memory forgets all and begins anew, so it always has the newest."""
    memory: Memory[int, int] = Memory(MOST_BYTES)

    for key in range(10_000):
        memory.keep(key, key, 1_000)

        assert len(memory) * 1_000 <= MOST_BYTES
        assert memory[key] == key


def test_small_values_are_bounded_as_well() -> None:
    """An entry costs something even where what is in it costs nothing."""
    memory: Memory[int, None] = Memory(MOST_BYTES)

    for key in range(10_000):
        memory.keep(key, None, 0)

    assert len(memory) < 1_000


def test_a_large_value_is_not_kept() -> None:
    """One sender of large Pods must not make it forget everybody else's."""
    memory: Memory[str, str] = Memory(MOST_BYTES)
    memory.keep("small", "value", 10)

    memory.keep("large", "value", MOST_BYTES // 100)

    assert memory == {"small": "value"}
