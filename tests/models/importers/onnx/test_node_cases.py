"""Every relevant node test of the ``onnx`` package: computed in float and in 16 bits, or refused with the line that the page shows."""

from support.node_cases import PAGE, all_outcomes, page


def test_each_is_computed_or_refused_as_the_page_says(tmp_path):
    # Collecting the cases takes most of the time, so that one test looks at all of them; what is wrong is named by an assertion.
    outcomes = all_outcomes(tmp_path)
    assert PAGE.read_text() == page(outcomes), "run: PYTHONPATH=tests python tests/support/node_cases.py"
    reasons = [reason for rows in outcomes.values() for _, reason in rows]
    assert reasons.count("") > len(reasons) / 2
