"""Names of params.yaml: refused where they could be more than a name, and never read by a shell."""

import pytest
from ruamel.yaml import YAML

from confidistill.errors import UserError
from tasks.names import check_names, stage_names
from tests import tiny

ATTACKS = ["x; touch pwned", "a' $(touch pwned) `touch pwned`\ntouch pwned\n\"", "| touch pwned #"]


@pytest.mark.parametrize("name", [*ATTACKS, "..", ".", "", "-x", "a/b", "../../code", "a.b", "é", "a\n", "x" * 65])
@pytest.mark.parametrize("section", ["sources", "tasks", "students", "augment"])
def test_what_is_no_name_is_refused_in_one_line(section, name):
    with pytest.raises(UserError, match=f"{section}: .* cannot be a name") as refused:
        check_names({section: {name: {}}})
    assert "\n" not in str(refused.value)


def test_a_number_is_no_name():
    with pytest.raises(UserError, match="tasks: 7 is no text: write it in quotes"):
        check_names({"tasks": {7: {}}})


@pytest.mark.parametrize(
    "content", [None, [], {"tasks": None}, {"tasks": ["a;b"]}, {"tasks": {"SST-2": {}, "7_x": {}}}]
)
def test_names_and_other_shapes_pass(content):
    check_names(content)


def test_two_pairs_that_would_be_one_stage_are_refused():
    with pytest.raises(UserError, match="task a with student b-c and task a-b with student c would both"):
        check_names({"tasks": {"a": {}, "a-b": {}}, "students": {"c": {}, "b-c": {}}})


def test_a_stage_reads_its_names_from_dvc():
    tasks, students = ["SST-2", "SST"], ["S_6L", "2-S_6L-x"]
    assert stage_names("evaluate@SST-2-S_6L", [tasks, students]) == ("SST-2", "S_6L")
    assert stage_names("../dvc.yaml:evaluate@SST-2-S_6L-x", [tasks, students]) == ("SST", "2-S_6L-x")
    with pytest.raises(UserError, match="names nothing"):
        stage_names("evaluate@RTE-S_6L", [tasks, students])


def test_no_command_of_dvc_yaml_holds_a_parameter():
    stages = YAML(typ="safe").load(tiny.ROOT / "dvc.yaml")["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    assert len(commands) == len(stages)
    assert not [command for command in commands if "$" in command]


def project(folder, tasks, students):
    content = YAML(typ="safe").load(tiny.ROOT / "profiles" / "quickstart.yaml")
    task, student = content["tasks"]["movies"], content["students"]["S_2L"]
    content |= {"tasks": dict.fromkeys(tasks, task), "students": dict.fromkeys(students, student), "augment": {}}
    return tiny.write_clone(folder, content)


def test_dvc_itself_runs_no_name(tmp_path):
    """Plain `dvc repro`, with the first stage of its own graph that a name reaches run by itself."""
    folder = project(tmp_path, ATTACKS, ["S_2L"])
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "preflight.txt").write_text("as if it had passed\n")
    (folder / "data" / "pins").mkdir()
    for name in ATTACKS:
        for kind in ("transfer", "teacher"):
            (folder / "data" / "pins" / f"{kind}-{name}.json").write_text("null\n")
    stages = ["--single-item", "--glob", "download_data@*"]
    done = tiny.run(folder, "dvc", "repro", "--keep-going", *stages, check=False)
    assert done.returncode
    assert done.stderr.count("cannot be a name") == len(ATTACKS)
    assert not list(tmp_path.rglob("pwned*"))
