"""Each thing that can be wrong with certificates and configurations has a row, and a remedy."""

import datetime as dt
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs.issue import Pair
from tests.unit.observations import (
    DAY,
    FOREIGN,
    LABELLED,
    MUTATING,
    NAMES,
    NOW,
    VALIDATING,
    authority,
    configuration,
    files,
    good,
    judged,
    live_profile,
    pair,
    wrong,
)
from webhook.diagnosis import diagnose
from webhook.findings import Row
from webhook.labels import Requirement, Selector
from webhook.observed import (
    MODES,
    Configuration,
    Endpoint,
    LiveProfile,
    Mode,
    Mount,
    Names,
    Observed,
    Presented,
    Program,
    Secret,
    Service,
    Unread,
)
from webhook.remedies import Remedy, check_flags

CA = authority()
SERVING = pair(CA)
ENSURE = "python -m certs ensure"
MUTATING_ROW = f"{MUTATING} vci-webhook"
VALIDATING_ROW = f"{VALIDATING} vci-webhook"
SECRET_ROW = "Secret vci-webhook/vci-webhook-tls"  # noqa: S105 - a name
CA_ROW = "Secret vci-webhook/vci-webhook-ca"
PROGRAM_ROW = "Deployment vci-webhook/vci-webhook-certs"
SERVICE_ROW = "Service vci-webhook/vci-webhook"
MOUNT_ROW = "mounted pair /etc/vci-webhook/tls"
SERVER_ROW = "server 10.0.0.7:8443"
DENIED = Unread("may not be read", "get secrets vci-webhook-tls in namespace vci-webhook")


def only(observed: Observed, mode: Mode | None = None) -> Row:
    """Give the one row that is about something wrong."""
    (row,) = wrong(observed, mode)
    return row


def about(rows: list[Row], what: str) -> list[str]:
    """Give what is said about one thing."""
    return [row.finding for row in rows if row.what == what]


def everywhere(serving: Pair, ca: Pair = CA) -> dict[str, Any]:
    """Have one pair in the Secret, in the volume and presented."""
    return {
        "tls": Secret(files(serving, ca)),
        "mount": Mount("/etc/vci-webhook/tls", files(serving, ca)),
        "presented": (Presented("10.0.0.7:8443", serving.certificate),),
    }


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_wrong_with_what_is_good(mode: Mode) -> None:
    """In each mode a good cluster has a row for each thing, and all of them are well."""
    diagnosis = diagnose(good(mode))
    assert diagnosis.mode == mode
    assert {row.severity for row in diagnosis.rows} == {"ok", "note"}
    own = [CA_ROW] if mode == "self" else []
    program = [PROGRAM_ROW] if mode == "self" else []
    assert [row.what for row in diagnosis.rows] == [
        "API server",
        "certificates",
        *program,
        SERVICE_ROW,
        MUTATING_ROW,
        VALIDATING_ROW,
        *own,
        SECRET_ROW,
        MOUNT_ROW,
        SERVER_ROW,
        "profile kube-system/vci-profile",
        "rules",
    ]
    assert not any(row.remedy.text or row.remedy.command for row in diagnosis.rows)


class TestMode:
    """Who issues the certificates is told from what is there, and from nothing else."""

    def test_a_configuration_that_is_injected_means_cert_manager(self) -> None:
        """Even where the Secret does not say it."""
        for key in ("inject-ca-from", "inject-ca-from-secret"):
            injected = replace(
                configuration(VALIDATING, CA), annotations={f"cert-manager.io/{key}": "x/y"}
            )
            assert diagnose(good(validating=injected)).mode == "certManager"

    def test_without_the_right_to_know_it_is_the_default(self) -> None:
        """A Secret that may not be read is no Secret that is missing."""
        assert diagnose(good(ca=DENIED)).mode == "self"

    def test_where_its_program_runs_the_authority_is_only_missing(self) -> None:
        """Somebody deleted the Secret with the CA; nobody chose another mode by that."""
        row = only(good(ca=None))
        assert (row.what, row.finding, row.remedy.command) == (CA_ROW, "does not exist", ENSURE)

    def test_a_person_knows_better(self) -> None:
        """The flag wins; in the mode self the CA must then be there."""
        row = only(good("provided"), "self")
        assert (row.what, row.finding) == (CA_ROW, "does not exist")


class TestProgram:
    """The certs program runs where it issues the certificates, and nowhere else."""

    def test_it_does_not_run(self) -> None:
        """Then nobody renews; without a Deployment it is a person who does."""
        row = only(good(program=Program(1, 0)))
        assert (row.severity, row.what) == ("error", PROGRAM_ROW)
        assert row.remedy.command == (
            "kubectl logs deployment/vci-webhook-certs --namespace vci-webhook"
        )
        assert wrong(good(program=None)) == []

    @pytest.mark.parametrize("mode", ["certManager", "provided"])
    def test_it_is_not_needed(self, mode: Mode) -> None:
        """Two that write the same bundles would take turns; scaled down it does no harm."""
        row = only(good(mode, program=Program(1, 1)), mode)
        assert (row.severity, row.what) == ("warning", PROGRAM_ROW)
        assert row.remedy.command == (
            "kubectl scale deployment vci-webhook-certs --namespace vci-webhook --replicas 0"
        )
        assert wrong(good(mode, program=Program(0, 0)), mode) == []


class TestBundles:
    """Each caBundle must vouch for each certificate that there is."""

    @pytest.mark.parametrize("kind", [MUTATING, VALIDATING])
    def test_an_empty_bundle_trusts_public_authorities_only(self, kind: Any) -> None:
        """Which no certificate of a Service comes from."""
        field = "mutating" if kind == MUTATING else "validating"
        changed: dict[str, Any] = {field: configuration(kind, CA, bundle=b"")}
        row = only(good(**changed))
        assert (row.severity, row.what) == ("error", f"{kind} vci-webhook")
        assert row.finding == "its caBundle is empty, so only public CAs are trusted"
        assert row.remedy.command == ENSURE

    def test_a_foreign_authority_vouches_for_nothing(self) -> None:
        """All places that have the same certificate are one row; the CA that is lacking another."""
        distrusts, lacks = wrong(good(mutating=configuration(MUTATING, FOREIGN)))
        assert (distrusts.severity, lacks.severity) == ("error", "warning")
        assert f"{SECRET_ROW} and {MOUNT_ROW} and {SERVER_ROW}: its issuer is" in distrusts.finding
        assert "its caBundle lacks" in lacks.finding
        assert distrusts.remedy.command == lacks.remedy.command == ENSURE

    def test_rubbish_is_no_bundle(self) -> None:
        """What is not PEM cannot vouch for anything."""
        row = only(good(mutating=configuration(MUTATING, CA, bundle=b"rubbish")))
        assert row.finding == "its caBundle is not PEM certificates"

    def test_old_and_new_side_by_side_are_well(self) -> None:
        """As while one CA follows another."""
        both = CA.certificate + FOREIGN.certificate
        changed: dict[str, Any] = {
            "mutating": configuration(MUTATING, CA, bundle=both),
            "validating": configuration(VALIDATING, CA, bundle=both),
            "ca": Secret({"ca.crt": both}),
        }
        assert wrong(good(**changed)) == []

    def test_an_expired_authority_vouches_for_nothing(self) -> None:
        """However good the certificate is."""
        old = authority(740 * DAY)
        serving = pair(old, issued=NOW - 11 * DAY)
        rows = wrong(
            good(
                **everywhere(serving, old),
                ca=Secret({"ca.crt": old.certificate}),
                mutating=configuration(MUTATING, old),
                validating=configuration(VALIDATING, old),
            )
        )
        said = f'certificate "vci-webhook": expired at {NOW - 10 * DAY:%Y-%m-%d %H:%M} UTC'
        assert said in about(rows, SERVER_ROW)
        assert "expired" in about(rows, CA_ROW)[0]

    def test_each_mode_has_its_own_remedy(self) -> None:
        """cert-manager injects, or is told to; a person patches the entry."""
        empty = configuration(MUTATING, CA, bundle=b"")
        told = only(good("certManager", mutating=empty)).remedy
        assert told.command == (
            "kubectl annotate mutatingwebhookconfiguration vci-webhook "
            "cert-manager.io/inject-ca-from=vci-webhook/serving"
        )
        injected = replace(empty, annotations={"cert-manager.io/inject-ca-from": "x/y"})
        assert "cainjector" in only(good("certManager", mutating=injected)).remedy.command
        patched = only(good("provided", mutating=empty)).remedy
        assert patched.command.startswith(
            "kubectl patch mutatingwebhookconfiguration vci-webhook --type json"
        )
        assert "/webhooks/0/clientConfig/caBundle" in patched.command
        without_ca = Secret({**files(SERVING, CA), "ca.crt": b""})
        for secret in (None, without_ca):
            row = only(good("provided", mutating=empty, tls=secret, mount=None))
            assert row.remedy == Remedy("put the CA of the certificate there")

    def test_names_that_are_not_the_usual_stand_in_the_command(self) -> None:
        """The certs program is told what the doctor was told."""
        names = replace(NAMES, namespace="here", service="hook")
        ca = authority()
        rows = wrong(good(names=names, mutating=configuration(MUTATING, ca, bundle=b"")))
        commands = {row.remedy.command for row in rows}
        assert f"{ENSURE} --namespace here --service hook" in commands


class TestConfigurations:
    """A configuration exists, calls our Service, and for some namespace."""

    def test_a_missing_one_is_named(self) -> None:
        """Without the mutating one nothing is placed; the other is a convenience."""
        row = only(good(mutating=None))
        assert (row.severity, row.what) == ("error", MUTATING_ROW)
        assert row.finding == "does not exist, so no Pod is placed"
        row = only(good(validating=None))
        assert (row.severity, row.what) == ("warning", VALIDATING_ROW)

    def test_one_without_webhooks_calls_nobody(self) -> None:
        """An empty list is as bad as no configuration."""
        rows = wrong(good(mutating=Configuration("MutatingWebhookConfiguration", "vci-webhook")))
        assert about(rows, MUTATING_ROW) == ["has no webhooks"]

    def test_another_service_is_not_ours(self) -> None:
        """The command has it call ours; the certificates are judged for ours meanwhile."""
        other = configuration(MUTATING, CA, service=("else", "where"))
        row = only(good(mutating=other))
        assert row.finding == "calls where.else.svc, not our Service vci-webhook.vci-webhook.svc"
        assert '"name":"vci-webhook"' in row.remedy.command

    @pytest.mark.parametrize("service", [None, Unread("may not be read", "get services")])
    def test_where_ours_is_not_there_the_other_may_be_meant(self, service: Any) -> None:
        """Nobody is told to turn a configuration away from where the webhook is."""
        other = configuration(MUTATING, CA, service=("platform", "hook"))
        rows = wrong(good(mutating=other, service=service, endpoints=()))
        commands = {row.what: row.remedy.command for row in rows}
        look = "vci-webhook doctor --own-namespace platform --service-name hook"
        assert commands[MUTATING_ROW] == look
        assert commands.get(SERVICE_ROW, look) == look

    def test_another_path_is_not_ours(self) -> None:
        """The two configurations are not each other's."""
        row = only(good(mutating=configuration(MUTATING, CA, path="/validate")))
        assert row.finding == 'calls "/validate", not /mutate'

    def test_a_url_is_called_instead_of_the_service(self) -> None:
        """Then certificates must be for its host, and the Service does not matter."""
        url = {"service": None, "port": 0, "path": ""}
        host = "webhook.example.com"
        changed: dict[str, Any] = {
            "mutating": configuration(MUTATING, CA, url=f"https://{host}:8443/mutate", **url),
            "validating": configuration(VALIDATING, CA, url=f"https://{host}:8443/validate", **url),
            "service": None,
            "endpoints": (),
        }
        assert wrong(good("provided", **changed, **everywhere(pair(CA, host)))) == []
        rows = wrong(good("provided", **changed))
        assert 'is not for "webhook.example.com", by which' in about(rows, SERVER_ROW)[0]
        changed["mutating"] = configuration(MUTATING, CA, url=f"https://{host}/other", **url)
        rows = wrong(good("provided", **changed, **everywhere(pair(CA, host))))
        assert about(rows, MUTATING_ROW) == ["its url does not end in /mutate"]

    def test_an_empty_bundle_of_a_url_may_be_meant(self) -> None:
        """A public CA can vouch for a public name."""
        url = {"service": None, "url": "https://w.example.com/mutate", "bundle": b""}
        rows = judged(good("provided", mutating=configuration(MUTATING, CA, **url)))
        note = next(row for row in rows if "caBundle is empty" in row.finding)
        assert note.severity == "note"

    def test_a_selector_that_matches_no_namespace_calls_for_nothing(self) -> None:
        """The remedy labels one, as the selector says; the rules say that they never act."""
        namespaces = {"kube-system": LABELLED, "vci-webhook": LABELLED, "batch": {}}
        rows = wrong(good(namespaces=namespaces))
        assert about(rows, MUTATING_ROW) == ["its namespaceSelector matches none of 3 namespaces"]
        command = rows[0].remedy.command
        assert command == "kubectl label namespace NAME vci=true"
        assert "matches no namespace today" in rows[1].finding

    def test_fail_for_its_own_namespace_can_lock_it_out(self) -> None:
        """Its own Pods would wait for it, when none of them runs."""
        everything = {"selector": Selector(), "failure_policy": "Fail"}
        row = only(good(mutating=configuration(MUTATING, CA, **everything)))
        assert row.finding.startswith('failurePolicy Fail for "kube-system", "vci-webhook"')

    def test_the_profile_must_be_asked_about(self) -> None:
        """A validating configuration that leaves its namespace out is of no use."""
        selector = Selector((Requirement("vci", "Exists"),))
        row = only(good(validating=configuration(VALIDATING, CA, selector=selector)))
        assert row.finding == 'its namespaceSelector leaves out "kube-system", where the profile is'

    def test_one_that_does_not_ask_about_pods_is_of_no_use(self) -> None:
        """An error where no entry does; of the other, the profile must be asked about."""
        row = only(good(mutating=configuration(MUTATING, CA, operations=frozenset())))
        assert (row.severity, row.what) == ("error", MUTATING_ROW)
        assert row.finding == "its rules do not name CREATE of pods, so that it is never called"
        creates = frozenset({"CREATE"})
        row = only(good(validating=configuration(VALIDATING, CA, operations=creates)))
        assert (row.severity, row.what) == ("warning", VALIDATING_ROW)
        assert row.finding.startswith("its rules do not name CREATE and UPDATE of configmaps")

    def test_entries_count_together(self) -> None:
        """A second one for namespaces with a label of their own may wait for the first of them."""
        fine = configuration(MUTATING, CA)
        key = "vci-webhook/enforced"
        selector = Selector((Requirement(key, "In", frozenset({"true"})),))
        enforced = replace(
            fine.entries[0], name="enforced", selector=selector, failure_policy="Fail"
        )
        both = replace(fine, entries=(enforced, *fine.entries))
        rows = judged(good(mutating=both))
        assert [row.severity for row in rows if row.what.startswith(MUTATING)] == ["ok", "ok"]
        (finding,) = about(rows, f"{MUTATING_ROW} enforced")
        assert " for 0 of 1 namespace, " in finding
        row = wrong(good(mutating=both, namespaces={"batch": {}}))[0]
        assert row.what == f"{MUTATING_ROW} x.vci-webhook.test"
        assert row.remedy.command == "kubectl label namespace NAME vci=true"
        assert wrong(good(mutating=both, namespaces={"batch": {key: "true"}}))[0].what != row.what

    def test_conditions_are_not_evaluated(self) -> None:
        """Which a row says that is well: it may be called for less than it looks."""
        written = configuration(MUTATING, CA, conditions=("no-node", "no-mirror"))
        (finding,) = about(judged(good(mutating=written)), MUTATING_ROW)
        assert finding.endswith('; not evaluated here: matchConditions "no-node", "no-mirror"')
        (finding,) = about(judged(good(mutating=written)), "rules")
        assert (
            finding == "each can act: some of what it selects is called for, matchConditions aside"
        )

    def test_of_two_entries_the_wrong_one_is_named(self) -> None:
        """And the other is well."""
        fine = configuration(MUTATING, CA)
        entries = (*fine.entries, replace(fine.entries[0], name="second", bundle=b""))
        rows = judged(good(mutating=replace(fine, entries=entries)))
        assert [row.what for row in rows if row.what.startswith(MUTATING)] == [
            f"{MUTATING_ROW} x.vci-webhook.test",
            f"{MUTATING_ROW} second",
        ]
        patched = wrong(good("provided", mutating=replace(fine, entries=entries)))[0].remedy
        assert "/webhooks/1/clientConfig/caBundle" in patched.command


class TestCertificates:
    """A certificate is good by itself, and the same everywhere."""

    def test_a_missing_secret(self) -> None:
        """In the modes that need it."""
        row = only(good(tls=None))
        assert (row.what, row.finding, row.remedy.command) == (SECRET_ROW, "does not exist", ENSURE)
        row = only(good("certManager", tls=None, mutating=_injected()))
        assert row.remedy.command == (
            "kubectl describe certificate vci-webhook --namespace vci-webhook"
        )
        assert wrong(good("provided", tls=None)) == []

    def test_a_missing_secret_that_servers_wait_for(self) -> None:
        """A person has to bring it, who is told how; where servers run they have their own."""
        endpoints = (Endpoint("10.0.0.7", 8443, ready=False),)
        waiting: dict[str, Any] = {"endpoints": endpoints, "presented": (), "mount": None}
        rows = wrong(good("provided", tls=None, **waiting))
        row = next(row for row in rows if row.what == SECRET_ROW)
        assert row.finding == "does not exist, and no server is ready: they may wait for it"
        assert row.remedy.command.startswith("kubectl create secret generic vci-webhook-tls ")

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"tls.crt": b"rubbish"}, "its tls.crt is not PEM certificates"),
            ({"tls.key": b"rubbish"}, "its key is not a PEM private key"),
            ({"tls.key": FOREIGN.key}, "its key does not belong to its certificate"),
            ({"tls.key": b""}, "has no tls.key"),
            ({"tls.key": b"", "tls.crt": b""}, "has no tls.crt and no tls.key"),
        ],
    )
    def test_rubbish_in_a_pair(self, changed: dict[str, bytes], said: str) -> None:
        """In the Secret, and in the volume; either has its remedy."""
        broken = {**files(SERVING, CA), **changed}
        row = only(good(tls=Secret(broken)))
        assert (row.severity, row.what, row.finding) == ("error", SECRET_ROW, said)
        assert row.remedy.command == ENSURE
        row = only(good(mount=Mount("/etc/vci-webhook/tls", broken)))
        assert (row.what, row.finding) == (MOUNT_ROW, said)
        assert row.remedy.command.startswith("kubectl rollout restart deployment vci-webhook")

    def test_an_authority_that_is_rubbish(self) -> None:
        """It is the first thing to repair."""
        for data in ({}, {"ca.crt": b"rubbish"}):
            row = only(good(ca=Secret(data)))
            assert (row.what, row.severity) == (CA_ROW, "error")
        row = only(good(ca=None), "self")
        assert row.finding == "does not exist"

    def test_what_has_expired_or_is_not_valid_yet(self) -> None:
        """Each place says it."""
        expired = pair(CA, issued=NOW - 40 * DAY)
        rows = wrong(good(**everywhere(expired)))
        assert {row.what for row in rows} == {SECRET_ROW, MOUNT_ROW, SERVER_ROW}
        assert {row.finding.partition(" at ")[0] for row in rows} == {
            'certificate "vci-webhook": expired'
        }
        early = pair(CA, issued=NOW + 2 * DAY)
        rows = wrong(good(**everywhere(early)))
        assert all("not valid before" in row.finding for row in rows)

    def test_what_should_have_been_renewed(self) -> None:
        """A certificate in its last quarter is a warning."""
        late = pair(CA, issued=NOW - 25 * DAY)
        rows = wrong(good(**everywhere(late)))
        assert {row.severity for row in rows} == {"warning"}
        assert rows[0].finding == 'certificate "vci-webhook" should have been renewed: 5 days left'
        in_time = pair(CA, issued=NOW - 20 * DAY)
        assert wrong(good(**everywhere(in_time))) == []

    def test_an_authority_at_its_end(self) -> None:
        """A month before, something should have followed it."""
        old = authority(710 * DAY)
        serving = pair(old, issued=NOW)
        changed: dict[str, Any] = {
            "ca": Secret({"ca.crt": old.certificate}),
            "mutating": configuration(MUTATING, old),
            "validating": configuration(VALIDATING, old),
        }
        rows = wrong(good(**everywhere(serving, old), **changed))
        assert {row.what for row in rows} == {CA_ROW}
        assert "should have been renewed: 20 days left" in rows[0].finding

    def test_a_name_that_nobody_calls(self) -> None:
        """What it is for is told; and that the bundle vouches for it all the same."""
        rows = wrong(good(**everywhere(pair(CA, "other.vci-webhook.svc"))))
        assert {row.what for row in rows} == {SECRET_ROW, MOUNT_ROW, SERVER_ROW}
        assert rows[0].finding == (
            'is not for "vci-webhook.vci-webhook.svc", by which the API server calls, but for '
            '"other.vci-webhook.svc"'
        )

    def test_a_server_with_an_old_certificate(self) -> None:
        """It is still good, but not the one in the Secret."""
        old = pair(CA, issued=NOW - DAY)
        row = only(good(presented=(Presented("10.0.0.7:8443", old.certificate),)))
        assert (row.severity, row.what) == ("error", SERVER_ROW)
        assert row.finding.startswith("has another certificate (")
        assert row.finding.endswith(")")
        assert SECRET_ROW in row.finding
        assert row.remedy.command == (
            "kubectl rollout restart deployment vci-webhook --namespace vci-webhook"
        )

    def test_a_volume_that_did_not_follow(self) -> None:
        """Neither did the server, which reads it."""
        old = pair(CA, issued=NOW - DAY)
        changed = everywhere(old)
        del changed["tls"]
        assert {row.what for row in wrong(good(**changed))} == {MOUNT_ROW, SERVER_ROW}

    def test_a_secret_of_another_authority(self) -> None:
        """The CA's Secret does not vouch for it, nor does any bundle."""
        foreign = pair(FOREIGN, issued=NOW)
        rows = wrong(good(tls=Secret(files(foreign, FOREIGN))))
        assert "Secret vci-webhook-ca does not vouch for it" in about(rows, SECRET_ROW)[0]
        assert {row.what for row in rows} >= {MUTATING_ROW, VALIDATING_ROW, MOUNT_ROW, SERVER_ROW}

    def test_a_directory_that_cannot_be_read(self) -> None:
        """The system's reason is the finding."""
        row = only(good(mount=Mount("/etc/vci-webhook/tls", Unread("is not a directory"))))
        assert (row.what, row.finding) == (MOUNT_ROW, "is not a directory")

    def test_a_server_that_speaks_but_shows_rubbish(self) -> None:
        """What is no certificate is said to be none."""
        row = only(good(presented=(Presented("10.0.0.7:8443", b"rubbish"),)))
        assert row.finding == "presents what is not a certificate"


def _injected() -> Configuration:
    return replace(
        configuration(MUTATING, CA), annotations={"cert-manager.io/inject-ca-from": "x/y"}
    )


class TestServers:
    """Whether servers can be reached depends on where the doctor is."""

    def test_servers_out_of_reach_are_not_known(self) -> None:
        """Nothing is wrong with that; the command makes one reachable."""
        silent = tuple(Presented(f"10.0.0.{n}:8443", Unread("timed out")) for n in (7, 8))
        rows = judged(good(presented=silent))
        (row,) = (row for row in rows if row.severity == "unknown")
        assert '"10.0.0.7:8443", "10.0.0.8:8443" cannot be reached from here' in row.finding
        assert row.remedy.command == (
            "kubectl port-forward --namespace vci-webhook service/vci-webhook 8443:443"
        )

    def test_one_of_several_that_is_silent_is_wrong(self) -> None:
        """Where its like can be reached it should be."""
        shown, silent = (
            Presented("10.0.0.7:8443", SERVING.certificate),
            Presented("10.0.0.8:8443", Unread("refused")),
        )
        row = only(good(presented=(shown, silent)))
        assert (row.what, row.finding) == ("server 10.0.0.8:8443", "shows no certificate: refused")

    def test_a_server_that_was_asked_for_must_answer(self) -> None:
        """A person named it."""
        row = only(good(presented=(Presented("localhost:1", Unread("refused"), asked=True),)))
        assert (row.severity, row.what) == ("error", "server localhost:1")

    def test_no_ready_endpoint(self) -> None:
        """The command shows the Pods, by the Service's own selector."""
        endpoints = (Endpoint("10.0.0.7", 8443, ready=False),)
        row = only(good(endpoints=endpoints, presented=()))
        assert (row.severity, row.what) == ("error", SERVICE_ROW)
        assert row.finding == (
            "has no ready endpoint (1 not ready), so nobody answers the API server"
        )
        assert row.remedy.command == (
            "kubectl describe pods --namespace vci-webhook --selector app=vci-webhook"
        )
        bare = only(good(endpoints=(), presented=(), service=Service({443: ""})))
        assert bare.remedy.text == "install it again, as it was installed first"

    def test_no_service(self) -> None:
        """Or one without the port that is called."""
        assert only(good(service=None)).finding == "does not exist"
        row = only(good(service=Service({8443: ""})))
        assert row.finding == 'has no port 443, which the API server calls, but "8443"'


class TestProfile:
    """Rules are judged elsewhere; here it counts that there are some, and that they can act."""

    def test_none(self) -> None:
        """Without a profile nothing is placed."""
        row = only(good(profile=None))
        assert (row.severity, row.finding) == ("warning", "does not exist, so no Pod is placed")

    def test_problems_are_counted(self) -> None:
        """What they are, check tells."""
        usual = {"name": "a", "namespaceSelector": {"matchLabels": LABELLED}}
        broken = live_profile(usual, {"name": "b", "bad": 1})
        rows = wrong(good(profile=broken))
        assert rows[0].finding == "1 rule, 2 errors"
        assert rows[0].remedy.command == "vci-webhook check --cluster"
        names = replace(NAMES, profile_name="other", namespace="x", service="y", mutating="z")
        rows = wrong(good(profile=LiveProfile(None, broken.problems), names=names))
        (row,) = (row for row in rows if row.what == "profile kube-system/other")
        assert row.finding == "no usable rules, 2 errors"
        assert row.remedy.command == (
            "vci-webhook check --cluster --own-namespace x --service-name y "
            "--webhook-configuration z --profile-name other"
        )

    def test_a_rule_that_is_never_asked_about(self) -> None:
        """Its namespaces are not among those that the configuration calls for."""
        namespaces = {"kube-system": {}, "batch": LABELLED, "film": {"team": "film"}}
        rule = {"name": "film", "namespaceSelector": {"matchLabels": {"team": "film"}}}
        row = only(good(namespaces=namespaces, profile=live_profile(rule)))
        assert row.what == "rule film, selectors[0]"
        assert row.finding == (
            'never acts: MutatingWebhookConfiguration "vci-webhook" does not call for "film", the '
            "only namespace that it matches"
        )
        assert row.remedy.text == "label it"
        assert row.remedy.command == "kubectl label namespace film vci=true"

    def test_a_rule_that_is_asked_about_in_places_is_a_note(self) -> None:
        """As it may be meant; a rule that names no namespaces means those that opted in."""
        namespaces = {n: {"team": "film"} for n in ("show", "film")} | {
            "batch": {**LABELLED, "team": "film"}
        }
        selector = {"namespaceSelector": {"matchLabels": {"team": "film"}}}
        rules = [{"name": f"film{n}", **selector, "objectSelector": pods(n)} for n in range(5)]
        rules.append({"name": "all", "objectSelector": pods("x")})
        seen = good(namespaces=namespaces, profile=live_profile(*rules))
        assert wrong(seen) == []
        note, fine = (row for row in judged(seen) if row.what == "rules")
        assert (note.severity, fine.severity) == ("note", "ok")
        assert '"film0" acts in 1 of 3, not in "film", "show"; "film1"' in note.finding
        assert note.finding.endswith("; and 2 other rules not in all")

    def test_of_many_rules_check_tells(self) -> None:
        """The table has the first of them, and a row for the others."""
        rules = [
            {"name": f"r{n}", "namespaceSelector": {"matchLabels": {"team": f"t{n}"}}}
            for n in range(23)
        ]
        *rows, last = wrong(good(profile=live_profile(*rules)))
        assert [row.what.partition(",")[0] for row in rows] == [f"rule r{n}" for n in range(20)]
        assert last.finding == "the same is to be said of 3 more rules"
        assert last.remedy.command == "vci-webhook check --cluster"

    @pytest.mark.parametrize("calls", [None, DENIED])
    def test_without_the_configuration_nothing_is_told_of_rules(self, calls: Any) -> None:
        """Its own row says why; that rules match no namespace is told all the same."""
        rows = judged(good(mutating=calls))
        assert [row for row in rows if row.what.startswith("rule")] == []
        rows = judged(good(mutating=calls, namespaces={"batch": {}}))
        (row,) = (row for row in rows if row.what.startswith("rule"))
        assert row.finding == "matches no namespace today"


def pods(app: object) -> dict[str, Any]:
    """Select Pods of an application."""
    return {"matchLabels": {"app": str(app)}}


class TestApiServer:
    """It has the last word about the time."""

    @pytest.mark.parametrize(
        ("ahead", "said"), [(3700.0, "3,700 s ahead of"), (-90, "90 s behind")]
    )
    def test_a_clock_that_differs(self, ahead: float, said: str) -> None:
        """By more than a minute it is a warning."""
        row = only(good(ahead_seconds=ahead))
        assert (row.severity, row.what) == ("warning", "API server")
        assert f"the clock here is {said} its clock" in row.finding

    def test_a_clock_that_was_not_told(self) -> None:
        """Is nothing to complain about."""
        assert wrong(good(ahead_seconds=None)) == []

    def test_without_it_one_row_says_so(self) -> None:
        """What is here is judged all the same."""
        why = Unread("does not answer: refused")
        absent: dict[str, Any] = dict.fromkeys(
            (
                "mutating",
                "validating",
                "ca",
                "tls",
                "program",
                "service",
                "endpoints",
                "namespaces",
                "profile",
            ),
            why,
        )
        rows = judged(good(api_server=why, **absent))
        assert [row.what for row in rows] == ["API server", "certificates", MOUNT_ROW, SERVER_ROW]
        assert rows[0].severity == "error"

    def test_each_right_that_is_missing_has_its_row(self) -> None:
        """The least right stands in it; nothing of it is an error."""
        absent: dict[str, Any] = {
            field: Unread("may not be read", f"get {field}")
            for field in (
                "mutating",
                "validating",
                "ca",
                "tls",
                "program",
                "service",
                "namespaces",
                "profile",
            )
        }
        rows = judged(good(**absent))
        unknown = [row for row in rows if row.severity == "unknown"]
        assert len(unknown) == len(absent)
        for row in unknown:
            assert row.remedy.text.startswith("needs the right to get ")
        assert wrong(good(**absent)) == []
        rows = judged(good(endpoints=Unread("may not be read", "list endpointslices")))
        assert [row.what for row in rows if row.severity == "unknown"] == [SERVICE_ROW]


class TestHelm:
    """Who installed it with Helm repairs with Helm what Helm wrote."""

    RELEASE: ClassVar[dict[str, str]] = {
        "meta.helm.sh/release-name": "a",
        "meta.helm.sh/release-namespace": "here",
    }
    COMMAND = "helm upgrade a charts/vci-webhook --namespace here --reset-then-reuse-values"

    def test_any_object_of_the_release_tells_it(self) -> None:
        """The Service, the certs program, or the other configuration."""
        service = Service({443: "https"}, {"app": "x"}, self.RELEASE)
        assert only(good(mutating=None, service=service)).remedy.command == self.COMMAND
        program = Program(1, 1, self.RELEASE)
        assert only(good(mutating=None, program=program)).remedy.command == self.COMMAND
        other = replace(configuration(VALIDATING, CA), annotations=self.RELEASE)
        row = only(good(mutating=None, validating=other))
        assert (row.what, row.remedy.command) == (MUTATING_ROW, self.COMMAND)

    def test_what_an_upgrade_would_write_again_has_to_be_told_to_helm(self) -> None:
        """Of the mode provided the bundle is a value."""
        empty = replace(configuration(MUTATING, CA, bundle=b""), annotations=self.RELEASE)
        told = only(good("provided", mutating=empty)).remedy
        assert "the value certificates.provided.caBundle" in told.text
        assert told.command.startswith("kubectl patch ")

    def test_where_nothing_is_of_that_name_it_may_be_called_otherwise(self) -> None:
        """Then the flags come first that say where it is."""
        absent: dict[str, Any] = dict.fromkeys(("mutating", "service", "validating", "tls", "ca"))
        seen = good("provided", mount=None, presented=(), endpoints=(), **absent)
        rows = wrong(seen)
        assert "nothing of these names" in about(judged(seen), "certificates")[0]
        (told,) = {row.remedy.text for row in rows if row.finding.startswith("does not exist")}
        assert told == (
            "install it, or say where it is and what its Service is called: --own-namespace, "
            "--service-name"
        )


blobs = st.one_of(
    st.binary(max_size=40),
    st.just(b""),
    st.sampled_from(
        [CA.certificate, CA.key, SERVING.certificate, SERVING.key, FOREIGN.certificate]
    ),
    st.builds(
        lambda pem, at, put: pem[:at] + put + pem[at + len(put) :],
        st.sampled_from([CA.certificate, SERVING.certificate, SERVING.key]),
        st.integers(0, 900),
        st.binary(min_size=1, max_size=3),
    ),
)
pairs = st.fixed_dictionaries({}, optional={"tls.crt": blobs, "tls.key": blobs, "ca.crt": blobs})
unread = st.builds(Unread, st.just("may not be read"), st.sampled_from(["", "get it"]))
secrets = st.one_of(st.none(), unread, st.builds(Secret, pairs))
hosts = st.sampled_from(
    ["", "https://[::1]:8443/mutate", "https://10.0.0.1/mutate", "x", "https://é/"]
)
configured = st.builds(
    configuration,
    st.sampled_from([MUTATING, VALIDATING]),
    st.just(CA),
    bundle=blobs,
    service=st.sampled_from([None, ("vci-webhook", "vci-webhook"), ("a", "b")]),
    url=hosts,
)
seen = st.builds(
    good,
    st.sampled_from(MODES),
    mutating=st.one_of(st.none(), unread, configured),
    validating=st.one_of(st.none(), unread, configured),
    ca=secrets,
    tls=secrets,
    mount=st.one_of(st.none(), st.builds(Mount, st.just("/x"), st.one_of(unread, pairs))),
    presented=st.lists(st.builds(Presented, st.just("a:1"), st.one_of(unread, blobs)), max_size=3),
    service=st.one_of(st.none(), unread, st.just(Service({443: ""}))),
    now=st.datetimes(dt.datetime(1980, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001 - hypothesis adds it
)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(seen, st.sampled_from([None, *MODES]))
def test_whatever_is_there_is_judged(observed: Observed, mode: Mode | None) -> None:
    """No state of certificates, Secrets and configurations is too broken for a table."""
    for row in diagnose(observed, mode).rows:
        assert row.what
        assert row.finding
        if row.severity in ("ok", "note"):
            assert not row.remedy.command
        elif row.severity != "unknown":
            assert row.remedy.text


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(seen)
def test_no_key_is_ever_shown(observed: Observed) -> None:
    """Nothing of a private key is in any row, nor in what a traceback would show of the data."""
    told = repr(diagnose(observed).rows) + repr(observed)
    secret = SERVING.key.splitlines()[1].decode()
    assert secret not in told
    assert str(CA.key.splitlines()[1].decode()) not in told


def test_all_is_named_after_the_service() -> None:
    """As a release of the chart is; what is told by itself is called so."""
    assert Names.of("vci-webhook", "vci-webhook") == Names()
    others = {"tls_secret": "own", "ca_secret": None}
    names = Names.of("a-vci-webhook", "here", **others)
    assert (names.namespace, names.service) == ("here", "a-vci-webhook")
    assert (names.mutating, names.validating) == ("a-vci-webhook", "a-vci-webhook")
    assert (names.ca_secret, names.tls_secret) == ("a-vci-webhook-ca", "own")
    assert (names.program, names.host) == ("a-vci-webhook-certs", "a-vci-webhook.here.svc")
    assert check_flags(names) == " --own-namespace here --service-name a-vci-webhook"


def test_names_have_the_documented_defaults() -> None:
    """Everything is called vci-webhook."""
    assert Names().host == "vci-webhook.vci-webhook.svc"
