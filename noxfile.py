"""Test sessions on the oldest and newest supported libraries: ``nox`` runs all, ``nox -s oldest`` one."""

import nox

nox.options.default_venv_backend = "venv"

# pytest 9 deprecates what scikit-learn below 1.8 hands to parametrize_with_checks.
PINS = {
    "1.7": ["scikit-learn==1.7.*", "numpy==2.0.*", "scipy==1.13.*", "pandas==2.2.*", "pytest<9"],
    "1.8": ["scikit-learn==1.8.*", "numpy==2.2.*", "scipy==1.15.*", "pytest<9"],
    "1.9": ["scikit-learn==1.9.*"],
}


@nox.session
@nox.parametrize("scikit_learn", list(PINS))
def tests(session, scikit_learn):
    """Run the tests with one version of scikit-learn."""
    session.install("-e", ".[test]", *PINS[scikit_learn])
    session.run("pytest", "-n", "auto", "--deselect", "tests/test_code_quality.py", *session.posargs)


@nox.session
def wheel(session):
    """Run the doctests against the built wheel, without the checkout on the path."""
    session.install(".[test]")
    session.chdir(session.create_tmp())
    flags = "doctest_optionflags=ELLIPSIS NORMALIZE_WHITESPACE"
    session.run("pytest", "--doctest-modules", "-o", flags, "--pyargs", "skroute", *session.posargs)
