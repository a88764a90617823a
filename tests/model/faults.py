"""One of each thing that leaves a rule out: a field of a rule that is otherwise without fault."""

from typing import Any

from tests.model import vocabulary as v

_TERM = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}

FAULTS: tuple[dict[str, Any], ...] = (
    {"placment": "enforce"},
    {"name": ""},
    {"name": "no/slash"},
    {"placement": "always"},
    {"priority": "1"},
    {"mode": "dry"},
    {"onConflict": "replace"},
    {"onIncompatible": "fail"},
    {"final": "yes"},
    {"matchAll": False, "namespaceSelector": {}, "objectSelector": None},
    {"objectSelector": {"matchLabels": {"app": "x" * 64}}},
    {"objectSelector": {"matchExpressions": [{"key": "app", "operator": "in", "values": ["a"]}]}},
    {"objectSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": []}]}},
    {"objectSelector": {"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}},
    {"objectSelector": {"matchexpressions": []}},
    {"placement": "off", "effect": {"labels": {"added": "a"}}},
    {"placement": "allow", "effect": {"annotations": {v.BURST: "enforce"}}},
    {"effect": {"annotations": {v.BURST: "auto"}}},
    {"effect": {"subnetIds": ["subnet-1"], "annotations": {v.SUBNETS: "subnet-1"}}},
    {"effect": {"annotations": {"vci.vke.volcengine.com/instance-id": "i"}}},
    {"effect": {"annotations": {"workflows.argoproj.io/node-name": "n"}}},
    {"effect": {"labels": {"workflows.argoproj.io/workflow": "w"}}},
    {"effect": {"labels": {v.INJECT: "false"}}},
    {"effect": {"annotations": {"kubernetes.io/config.mirror": "m"}}},
    {"effect": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "p"}}},
    {"effect": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "much"}}},
    {"effect": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "+5"}}},
    {"effect": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "2147483648"}}},
    {"effect": {"annotations": {"container.apparmor.security.beta.kubernetes.io/main": "p"}}},
    {"effect": {"annotations": {"example.com/note": 1}}},
    {"effect": {"labels": {"added": "x" * 64}}},
    {"effect": {"labels": {"-added": "a"}}},
    {"effect": {"nodeSelector": {"disk": "a b"}}},
    {"effect": {"systemDiskGiB": 39}},
    {"effect": {"systemDiskGiB": 501}},
    {"effect": {"kubeProxy": "true"}},
    {"effect": {"subnetIds": "subnet-1"}},
    {"effect": {"resourceTags": {"team": "a,b"}}},
    {"effect": {"nodeSelector": {"type": "virtual-kubelet"}}},
    {"effect": {"nodeAffinity": {v.REQUIRED: {"nodeSelectorTerms": [{}]}}}},
    {"effect": {"nodeAffinity": {v.PREFERRED: [{"weight": 0, "preference": _TERM}]}}},
    {"effect": {"containers": []}},
    {"effect": {"tolerations": [{"operator": "Equal", "value": "x"}]}},
    {"effect": {"tolerations": [{"key": "k", "operator": "Exists", "value": "x"}]}},
    {"effect": {"tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExec"}]}},
    {"effect": {"tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 3}]}},
    {"effect": {"nodeAffinity": {v.REQUIRED: {"nodeSelectorTerms": []}}}},
    {
        "effect": {
            "nodeAffinity": {
                v.REQUIRED: {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "cores", "operator": "Gt", "values": ["1", "2"]}
                            ]
                        }
                    ]
                }
            }
        }
    },
)
