import pytest

from tunewell.generate.checks import unsupported_names


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("Yes. Open the Dashboard.", "see the dashboard"),
        ("Use APIs and Wi-Fi.", "The API works over Wi-Fi."),
        ("It needs 10 MB of space.", "It needs 10MB of space."),
        ("它需要 10 MB 空间", "它需要10MB空间"),
        ("用 iOS 15 打开", "支持 iOS15 及以上"),
        ("用 iOS15 打开", "支持 iOS 15 及以上"),
        ("We open at 8 AM.", "We open at 8am."),
        ("Turn on WiFi in Settings.", "Turn on Wi-Fi in settings."),
        ("Turn on Wi-Fi in Settings.", "Turn on WiFi in settings."),
        ("请发 email", "请发 e-mail"),
        ("Send an E-mail now", "send an email"),
        ("See the Policies and the Boxes, the Caches, the Releases", "policy, box, cache, release"),
        ("The Policy, the Box, the Cookie", "policies, boxes, cookies"),
        ("You MUST NOT share it, PLEASE do it ASAP", "never share it"),
        ("a) Open it. b) Save it.", "anything"),
        ("1. Open it. 2. Save it. 3) Close it.", "anything"),
        ("**1.** Open it\n- 1. Save it\n__Note__", "anything"),
        ("- Save it.\n- Then wait.", "anything"),
        ("It costs 1,000 USD", "It costs $1,000"),
        ("费用是 100 RMB，USD 5", "费用是100元或5美元"),
        ("点击「商户中心」", "打开商户 中心"),
        ('Choose "Fast mode" now', 'There is "fast mode".'),
    ],
)
def test_names_that_the_source_holds(answer: str, source: str) -> None:
    assert unsupported_names(answer, source) == []


@pytest.mark.parametrize(
    ("answer", "source", "missing"),
    [
        ("Click Payouts, then Export.", "Payouts can be seen.", ["Export"]),
        ("Set task_id in conf.yaml", "task_id stands in conf.yml", ["conf.yaml"]),
        ("数据源k8s命名空间用redis", "授权k8s空间", ["redis"]),
        ("点击「财务中心」", "打开商户中心", ["财务中心"]),
        ("见《用户手册》和“费率表”", "见用户手册", ["费率表"]),
        ("I think RabbitMQ is used", "kafka is used", ["RabbitMQ"]),
        ("It runs on IPv6", "It runs on IPv4 for 6 days", ["IPv6"]),
        ("支持 iOS16", "支持 iOS15，16 天", ["iOS16"]),
        ("It costs 5 EUR", "It costs $5", ["EUR"]),
        ("It needs 5 GB of space", "It needs 5MB of space", ["GB"]),
        ("Ask the SSO team", "Ask the SOS team", ["SSO"]),
        ("The Wire works", "wi re-fi", ["Wire"]),
        ("Use the VPN, PLEASE", "Use the network", ["VPN"]),
    ],
)
def test_names_that_the_source_does_not_hold(answer: str, source: str, missing: list[str]) -> None:
    assert unsupported_names(answer, source) == missing
