from report import Report

from fileflow_async.testing.rehearsal import rehearse


def test_the_amounts_are_added_up():
    made = rehearse(Report, inputs={"orders": [{"amount": 10.0}, {"amount": 5.0}]})
    assert made.read() == {"orders": 2, "sum": 15.0}
