"""Following a cluster when everything is well: what changes there acts here."""

import json
import time
from pathlib import Path

from tests.contract.api_server import (
    TOKEN,
    Answer,
    ScriptedApiServer,
    bookmark,
    event,
    listing,
    namespace,
    poll,
    profile,
    refuse,
    stream,
)
from tests.contract.followed import Followed, followed


def test_reviews_are_decided_by_what_the_cluster_says(pair: Followed) -> None:
    """The rule acts in the namespace that has its label, and nowhere else."""
    assert pair.team("argo") == "batch"
    assert pair.team("plain") == ""


def test_requests_are_those_of_a_good_client(pair: Followed) -> None:
    """Pages, bookmarks, an end for every watch, metadata only, the token, and our name."""
    listed, watched = pair.api.last("namespaces list"), pair.api.last("namespaces watch")
    assert listed.query["limit"] == "500"
    assert "resourceVersion" not in listed.query
    assert watched.query["resourceVersion"] == "10"
    assert watched.query["allowWatchBookmarks"] == "true"
    assert 300 <= int(watched.query["timeoutSeconds"]) <= 600
    for request in (listed, watched):
        assert "as=PartialObjectMetadata" in request.headers["accept"]
        assert request.headers["authorization"].lower() == f"bearer {TOKEN}"
        assert request.headers["user-agent"].startswith("vci-webhook/")
    assert pair.api.last("configmaps watch").query["fieldSelector"] == "metadata.name=vci-profile"


def test_a_new_label_acts_at_once(pair: Followed) -> None:
    """A namespace's label acts within 200 ms of the watch event, on it and no other."""
    started = time.monotonic()
    pair.api.push("namespaces watch", event("MODIFIED", namespace("plain", "11", vci="true")))
    pair.wait_for_team("plain", "batch")
    assert time.monotonic() - started < 0.2
    pair.api.push("namespaces watch", event("MODIFIED", namespace("argo", "12")))
    pair.wait_for_team("argo", "")
    assert pair.team("plain") == "batch"


def test_namespaces_come_and_go(pair: Followed) -> None:
    """A namespace that is deleted and made anew has the labels of its new self."""
    pair.api.push("namespaces watch", event("DELETED", namespace("argo", "11", vci="true")))
    poll(lambda: pair.review("argo").status == 500, "the end of argo")
    pair.api.push("namespaces watch", event("ADDED", namespace("argo", "12")))
    poll(lambda: pair.review("argo").status == 200, "argo")
    assert pair.team("argo") == ""


def test_a_change_of_the_profile_acts(pair: Followed) -> None:
    """The next Pod after the watch event has the new rules, and shows their version."""
    assert pair.version("argo") == "1"
    pair.api.push("configmaps watch", event("MODIFIED", profile("77", team="night")))
    pair.wait_for_team("argo", "night")
    assert pair.version("argo") == "77"


def test_a_change_of_metadata_alone_changes_the_version_that_pods_show(pair: Followed) -> None:
    """With the same data the newest resourceVersion is shown, as by a replica that starts now."""
    pair.api.push("configmaps watch", event("MODIFIED", profile("78")))
    poll(lambda: pair.version("argo") == "78", "the version")
    assert pair.team("argo") == "batch"


def test_without_a_profile_there_are_no_rules(pair: Followed) -> None:
    """Deleted, the profile acts no more; made anew, it acts again."""
    pair.api.push("configmaps watch", event("DELETED", profile("11")))
    pair.wait_for_team("argo", "")
    pair.api.push("configmaps watch", event("ADDED", profile("12", team="again")))
    pair.wait_for_team("argo", "again")


def test_an_invalid_profile_leaves_the_last_good_one(pair: Followed) -> None:
    """What is invalid as a whole is told in an Event and a metric, and changes nothing else."""
    broken = profile("11") | {"data": {"selectors": "{"}}
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: bool(pair.events()), "an Event")
    assert pair.team("argo") == "batch"
    assert pair.metric("profile_rejected") == 1
    assert pair.metric("profile_problems", severity="error") >= 1
    (told,) = pair.events()
    assert (told["type"], told["reason"]) == ("Warning", "ProfileInvalid")
    assert told["involvedObject"]["name"] == "vci-profile"
    assert "stays active" in told["message"]
    pair.api.push("configmaps watch", event("MODIFIED", profile("12", team="fixed")))
    poll(lambda: len(pair.events()) == 2, "an Event about the repair")
    assert pair.team("argo") == "fixed"
    assert pair.events()[1]["reason"] == "ProfileAccepted"
    assert pair.metric("profile_rejected") == 0


def test_one_bad_rule_is_left_out(pair: Followed) -> None:
    """The others act; the Event names the bad one by its path."""
    changed = profile("11", team="good")
    rules = json.loads(changed["data"]["selectors"])
    changed["data"]["selectors"] = json.dumps([*rules, {"name": "bad", "objectSelectr": {}}])
    pair.api.push("configmaps watch", event("MODIFIED", changed))
    pair.wait_for_team("argo", "good")
    poll(lambda: bool(pair.events()), "an Event")
    assert pair.events()[0]["reason"] == "RulesInvalid"
    assert "selectors[1].objectSelectr" in pair.events()[0]["message"]


def test_a_good_profile_makes_no_event(pair: Followed) -> None:
    """Starting on a profile without problems, and changing it, is nothing to report."""
    pair.api.push("configmaps watch", event("MODIFIED", profile("11", team="quiet")))
    pair.wait_for_team("argo", "quiet")
    assert pair.events() == []


def test_problems_that_another_replica_reported_are_not_counted_again(pair: Followed) -> None:
    """An Event that exists for this version stays; one of an older version counts one more."""
    broken = profile("11") | {"data": {"selectors": "{"}}
    existing = {"metadata": {"resourceVersion": "5"}, "count": 3}
    same = existing | {"involvedObject": {"resourceVersion": "11"}}
    older = existing | {"involvedObject": {"resourceVersion": "8"}}
    pair.api.script("event post", refuse(409, "AlreadyExists"))
    pair.api.script("event patch", Answer(pieces=(json.dumps(same).encode(),)))
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: pair.api.count("event patch") == 1, "a look at the Event")
    pair.api.script("event patch", Answer(pieces=(json.dumps(older).encode(),)))
    broken = profile("12") | {"data": {"selectors": "{ "}}
    pair.api.push("configmaps watch", event("MODIFIED", broken))
    poll(lambda: pair.api.count("event patch") == 3, "a count")
    counted = json.loads(pair.api.last("event patch").body)
    assert (counted["count"], counted["metadata"]["resourceVersion"]) == (4, "5")
    assert pair.api.last("event patch").headers["content-type"] == "application/merge-patch+json"


def test_a_thousand_changes_end_in_the_last_one(pair: Followed) -> None:
    """However fast the profile changes, the last version acts, and Events are few."""
    started = time.monotonic()
    for number in range(1000):
        changed = profile(str(100 + number), team=f"t{number}", unknown=str(number))
        pair.api.push("configmaps watch", event("MODIFIED", changed))
    pair.wait_for_team("argo", "t999")
    assert time.monotonic() - started < 10
    assert len(pair.events()) <= 10


def test_before_the_first_lists_nothing_is_decided(api: ScriptedApiServer, tls_dir: Path) -> None:
    """Until both lists are there the server is alive, not ready, and asks to be asked again."""
    slow = api.scripts["configmaps list"][0]
    api.script("configmaps list", Answer(then="silent", without_head=True), slow)
    with followed(api, tls_dir, synced=False) as pair:
        poll(
            lambda: pair.server.probe("/readyz").body == b"not read yet: profile", "the namespaces"
        )
        response = pair.review("argo")
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert response.error == "not read yet: profile"
        assert pair.server.probe("/healthz").status == 200
        poll(pair.ready, "readiness")
        assert pair.team("argo") == "batch"


def test_a_start_without_an_api_server_waits_for_it(api: ScriptedApiServer, tls_dir: Path) -> None:
    """The process neither ends nor serves before the API server is there; then it does, soon."""
    api.down()
    with followed(api, tls_dir, synced=False) as pair:
        assert pair.review("argo").status == 503
        api.up()
        started = time.monotonic()
        poll(pair.ready, "readiness")
        assert time.monotonic() - started < 2


def test_a_start_on_an_invalid_profile_is_ready_without_rules(
    api: ScriptedApiServer, tls_dir: Path
) -> None:
    """Ready, no rules, and the alarm on: an invalid profile must not keep Pods from being made."""
    api.script("configmaps list", listing("10", profile("9") | {"data": {"selectors": "5"}}))
    with followed(api, tls_dir) as pair:
        assert pair.team("argo") == ""
        assert pair.metric("profile_rejected") == 1
        poll(lambda: bool(pair.events()), "an Event")


def test_a_start_without_a_profile_is_ready(api: ScriptedApiServer, tls_dir: Path) -> None:
    """No ConfigMap is no rules."""
    api.script("configmaps list", listing("10"))
    with followed(api, tls_dir) as pair:
        assert pair.team("argo") == ""
        assert pair.events() == []


def test_a_list_in_pages(api: ScriptedApiServer, tls_dir: Path) -> None:
    """Pages are asked for one after the other with the token of the one before."""
    pages = [
        listing("10", namespace("a", vci="true"), following="two"),
        listing("10", namespace("b"), following="three"),
        listing("10", namespace("c", vci="true")),
    ]
    api.script("namespaces list", *pages)
    with followed(api, tls_dir) as pair:
        tokens = [r.query.get("continue") for r in api.requests if r.kind == "namespaces list"]
        assert tokens == [None, "two", "three"]
        assert [pair.team(name) for name in "abc"] == ["batch", "", "batch"]


def test_a_watch_that_has_had_its_time_goes_on_without_a_list(pair: Followed) -> None:
    """After the end that was agreed upon the watch goes on from the last bookmark."""
    pair.api.push("namespaces watch", bookmark("50"))
    poll(lambda: pair.metric("watch_up", resource="namespaces") == 1, "the bookmark")
    before = pair.api.count("namespaces watch")
    time.sleep(0.3)  # longer than a watch must have lasted not to count as failed
    pair.api.end("namespaces watch")
    poll(lambda: pair.api.count("namespaces watch") > before, "the next watch")
    assert pair.api.last("namespaces watch").query["resourceVersion"] == "50"
    assert pair.api.count("namespaces list") == 1
    assert pair.metric("watch_failures_total", resource="namespaces", cause="unreachable") == 0


def test_metrics_tell_where_we_stand(pair: Followed) -> None:
    """What is followed, how many namespaces there are, which profile is active: /metrics."""
    text = pair.server.probe("/metrics").body.decode()
    assert 'vci_webhook_watch_up{resource="namespaces"} 1.0' in text
    assert 'vci_webhook_watch_up{resource="configmaps"} 1.0' in text
    assert "vci_webhook_namespaces 2.0" in text
    assert 'vci_webhook_profile_info{version="1"} 1.0' in text
    assert "vci_webhook_profile_rules 1.0" in text


def test_bookmarks_alone_keep_a_watch_alive(pair: Followed) -> None:
    """A quiet cluster sends bookmarks only: they are signs of life, and move the version."""
    watches = pair.api.count("namespaces watch")
    for number in range(8):
        pair.api.push("namespaces watch", bookmark(str(20 + number)))
        time.sleep(0.25)
    assert pair.api.count("namespaces watch") == watches
    pair.api.cut()
    poll(lambda: pair.api.count("namespaces watch") > watches, "the next watch")
    assert pair.api.last("namespaces watch").query["resourceVersion"] == "27"


def test_a_line_of_a_megabyte(pair: Followed) -> None:
    """A ConfigMap of the largest size arrives in many pieces and is read as one."""
    large = profile("11", team="large") | {}
    large["data"]["filler"] = "x" * 1_000_000
    line = event("MODIFIED", large)
    for start in range(0, len(line), 10_000):
        pair.api.push("configmaps watch", line[start : start + 10_000])
    pair.wait_for_team("argo", "large")


def test_streams_may_begin_with_events(api: ScriptedApiServer, tls_dir: Path) -> None:
    """What happened between list and watch comes at once."""
    api.script("namespaces watch", stream(event("ADDED", namespace("new", "11", vci="true"))))
    with followed(api, tls_dir) as pair:
        poll(lambda: pair.review("new").status == 200, "the new namespace")
        assert pair.team("new") == "batch"
