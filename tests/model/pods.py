"""Generated Pods that an API server could send: what it would refuse is not among them."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.model import features, obstacles

Json = Any


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """Draw a Pod: a plain one, changed by some of the features below."""
    container = {"name": "main", "image": "busybox"}
    pod: dict[str, Json] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {draw(st.sampled_from(("name", "generateName"))): "pod-"},
        "spec": {"containers": [container]},
    }
    for feature in draw(st.lists(st.sampled_from(_features), max_size=8)):
        feature(draw, pod)
    return json.loads(json.dumps(pod))  # no two places share an object


@st.composite
def hindered_pods(draw: st.DrawFn) -> Json:
    """Draw a Pod that has little but what VCI cannot run."""
    pod: dict[str, Json] = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main"}]}}
    few = (features.set_dns_policy, features.leave_empty, *_obstacles)
    for feature in draw(st.lists(st.sampled_from(few), min_size=1, max_size=3)):
        feature(draw, pod)
    return json.loads(json.dumps(pod))  # no two places share an object


@st.composite
def plain_pods(draw: st.DrawFn) -> Json:
    """Draw a Pod that VCI can run; its tolerations and its affinity are its own."""
    pod: dict[str, Json] = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main"}]}}
    for feature in draw(st.lists(st.sampled_from(_plain_features))):
        feature(draw, pod)
    return json.loads(json.dumps(pod))  # no two places share an object


_obstacles = (
    *4 * (obstacles.mount_host_path,),
    *2 * (obstacles.run_privileged, obstacles.request_gpu),
    obstacles.mount_bidirectionally,
    obstacles.use_host_namespace,
    obstacles.use_host_port,
    obstacles.mount_image,
    obstacles.run_on_windows,
)
_features = (
    *4 * (features.leave_empty,),
    *3 * (features.add_unknown_field, features.set_labels, features.set_annotations),
    *3 * (features.set_tolerations,),
    *8 * (features.set_required_terms,),
    *2 * (features.set_preferences, features.set_dns_policy),
    *3 * (features.ask_for_vci, features.bring_a_trace),
    *4 * (features.select_nodes,),
    features.select_virtual_nodes,
    features.set_many_terms,
    features.set_long_annotation,
    obstacles.stay_untouched,
    *_obstacles,
)
_plain_features = (
    features.set_tolerations,
    features.set_required_terms,
    features.set_preferences,
)
