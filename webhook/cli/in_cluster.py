"""``vci-webhook check --cluster``: what a cluster adds to what is said about profiles."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from webhook.cli.judgement import InCluster, Judgement
from webhook.cluster_advice import advise_in_cluster, rule_uses
from webhook.errors import ClusterError, SettingsError
from webhook.kube import Cluster, Connection
from webhook.observe import Observer
from webhook.profile import parse_profile
from webhook.settings import both
from webhook.vci import SYSTEM_NAMESPACES


def judge_in_cluster(
    judgements: Sequence[Judgement],
    profile_object: tuple[str, str],
    kubeconfig: str | None,
    names: tuple[str, str],
) -> list[Judgement]:
    """Add to each judgement what the cluster tells; without any, judge the live profile.

    The names are those of the webhook's configuration (empty: look for it) and its namespace.
    """
    cluster = Cluster(kubeconfig or kubectls_own(os.environ))
    return asyncio.run(_judge(cluster, judgements, profile_object, names))


def kubectls_own(environment: Mapping[str, str]) -> str | None:
    """Return the kubeconfig that kubectl falls back to, where a person runs the command."""
    if environment.get("KUBECONFIG") or environment.get("KUBERNETES_SERVICE_HOST"):
        return None
    path = Path.home() / ".kube" / "config"
    return str(path) if path.exists() else None


async def _judge(
    cluster: Cluster,
    judgements: Sequence[Judgement],
    profile_object: tuple[str, str],
    names: tuple[str, str],
) -> list[Judgement]:
    address = await cluster.check()
    connection = Connection(cluster)
    try:
        observer = Observer(connection)
        found = list(judgements) or [await _judge_live(observer, profile_object)]
        return await _observe(observer, found, *names)
    except ClusterError as error:
        raise SettingsError(
            f"{both('kubeconfig')}: {address}: {error}; check address and rights, as kubectl does"
        ) from error
    finally:
        await connection.close()


async def _judge_live(observer: Observer, profile_object: tuple[str, str]) -> Judgement:
    """Judge the profile that is in the cluster."""
    where = "/".join(profile_object)
    live = await observer.read_profile(*profile_object)
    if live is None:
        return Judgement(where, unusable=f"{where}: no such ConfigMap; apply one, or name a FILE")
    data = live.data or {}
    profile, problems = parse_profile(data, live.metadata.resource_version)
    return Judgement(where, tuple(problems), profile, data.get("selectors", ""))


async def _observe(
    observer: Observer, judgements: Sequence[Judgement], configuration: str, own_namespace: str
) -> list[Judgement]:
    profiles = [judgement.profile for judgement in judgements if judgement.profile is not None]
    if not profiles:
        return list(judgements)
    excluded = SYSTEM_NAMESPACES | {own_namespace}
    surroundings = await observer.observe(excluded, configuration)
    censuses = iter(await observer.count_pods(profiles, surroundings) or ())
    judged = []
    for judgement in judgements:
        if (profile := judgement.profile) is not None:
            census = next(censuses, None)
            told = InCluster(rule_uses(profile, surroundings, census), tuple(observer.notes))
            further = advise_in_cluster(profile, surroundings, census)
            problems = (*judgement.problems, *further)
            judged.append(replace(judgement, problems=problems, in_cluster=told))
        else:
            judged.append(judgement)
    return judged
