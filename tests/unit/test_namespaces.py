"""The labels of all namespaces, as lists and watches tell them."""

from hypothesis import given
from hypothesis import strategies as st

from webhook.namespaces import NamespaceLabels
from webhook.watch import Changed, Deleted, KubeObject, Metadata, Page


def namespace(name: str, version: str = "1", **labels: str) -> KubeObject:
    return KubeObject(Metadata(name, version, labels=labels or None))


def page(*items: KubeObject, first: bool = True, last: bool = True) -> Page:
    return Page(items, first=first, last=last)


def test_a_list_replaces_everything() -> None:
    """What is in no page of a list is gone, also when its deletion was never told."""
    labels = NamespaceLabels()
    labels.apply(page(namespace("a"), namespace("b", vci="true")))
    labels.apply(page(namespace("b", vci="false"), namespace("c")))
    assert dict(labels.current) == {"b": {"vci": "false"}, "c": {}}


def test_a_list_counts_when_it_is_complete() -> None:
    """Until the last page is there, everything stays as it was."""
    labels = NamespaceLabels()
    labels.apply(page(namespace("a")))
    labels.apply(page(namespace("b"), last=False))
    assert set(labels.current) == {"a"}
    labels.apply(page(namespace("c"), first=False))
    assert set(labels.current) == {"b", "c"}


def test_a_list_that_began_anew_forgets_its_first_pages() -> None:
    """Pages of a list that was given up are not mixed with those of the next."""
    labels = NamespaceLabels()
    labels.apply(page(namespace("gone"), last=False))
    labels.apply(page(namespace("a"), last=False))
    labels.apply(page(namespace("b"), first=False))
    assert set(labels.current) == {"a", "b"}


def test_a_snapshot_stays_as_it_was() -> None:
    """A review that holds the labels of before sees none of the changes."""
    labels = NamespaceLabels()
    labels.apply(page(namespace("a", vci="true")))
    held = labels.current
    labels.apply(Changed(namespace("a", "2", vci="false")))
    labels.apply(Deleted(namespace("a", "3")))
    labels.apply(Changed(namespace("b", "4")))
    assert dict(held) == {"a": {"vci": "true"}}


def test_a_namespace_made_anew_has_its_own_labels() -> None:
    """Deleted and created again, a namespace has what its new self has."""
    labels = NamespaceLabels()
    labels.apply(Changed(namespace("a", "1", vci="true")))
    labels.apply(Deleted(namespace("a", "2", vci="true")))
    assert "a" not in labels.current
    labels.apply(Changed(namespace("a", "3")))
    assert labels.current["a"] == {}


def test_deleting_what_is_not_known() -> None:
    """A deletion of something unknown changes nothing."""
    labels = NamespaceLabels()
    labels.apply(Deleted(namespace("a")))
    assert len(labels.current) == 0


def test_what_was_read_besides_is_added() -> None:
    """A namespace that the watch will bring only later is known at once."""
    labels = NamespaceLabels()
    assert labels.add(namespace("new", "12", vci="true"), followed_to="10")
    assert labels.current["new"] == {"vci": "true"}


def test_the_watch_goes_before_what_was_read_besides() -> None:
    """What the watch knows of a namespace stays; what it saw deleted does not come back."""
    labels = NamespaceLabels()
    labels.apply(Changed(namespace("a", "12", vci="true")))
    assert not labels.add(namespace("a", "11"), followed_to="12")
    assert labels.current["a"] == {"vci": "true"}
    labels.apply(Deleted(namespace("a", "13")))
    assert not labels.add(namespace("a", "12"), followed_to="13")
    assert "a" not in labels.current


def test_without_an_order_nothing_is_added() -> None:
    """While a list is on its way, or with versions without an order, a read is not kept."""
    labels = NamespaceLabels()
    assert not labels.add(namespace("a", "12"), followed_to="")
    assert not labels.add(namespace("a", "x"), followed_to="y")


changes = st.lists(
    st.tuples(
        st.sampled_from(["change", "delete", "list"]), st.sampled_from("abcd"), st.integers(0, 3)
    )
)


@given(changes)
def test_any_history_is_what_a_dict_would_hold(history: list[tuple[str, str, int]]) -> None:
    """Whatever happens in whatever order, we hold what a plain dict would."""
    labels, plain = NamespaceLabels(), dict[str, dict[str, str]]()
    for kind, name, value in history:
        made = namespace(name, x=str(value))
        if kind == "change":
            labels.apply(Changed(made))
            plain[name] = {"x": str(value)}
        elif kind == "delete":
            labels.apply(Deleted(made))
            plain.pop(name, None)
        else:
            labels.apply(page(made))
            plain = {name: {"x": str(value)}}
        assert dict(labels.current) == plain


def test_ten_thousand_in_pages() -> None:
    """A large list in pages is all there."""
    items = [namespace(f"team-{number}", vci=str(number % 2)) for number in range(10_000)]
    labels = NamespaceLabels()
    for start in range(0, len(items), 500):
        chunk = items[start : start + 500]
        labels.apply(page(*chunk, first=start == 0, last=start == 9_500))
    assert len(labels.current) == 10_000
    assert labels.current["team-77"] == {"vci": "1"}
