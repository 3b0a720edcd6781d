"""The state machines of machines, allocations and tasks."""

import pytest

from remotegpu.server.core.errors import ConflictError
from remotegpu.server.domains.allocations import states as allocations
from remotegpu.server.domains.machines import states as machines
from remotegpu.server.domains.tasks import repository
from remotegpu.server.domains.tasks import states as tasks

TABLES = {"machine": machines, "allocation": allocations, "task": tasks}


@pytest.mark.parametrize("name", TABLES)
def test_every_transition_leads_to_a_state_and_any_other_is_refused_with_what_is_possible(name: str) -> None:
    table = TABLES[name]
    for current, possible in table.TRANSITIONS.items():
        assert possible <= table.TRANSITIONS.keys()
        for wanted in table.TRANSITIONS:
            if wanted in possible:
                table.check_transition(current, wanted)
                continue
            with pytest.raises(ConflictError) as caught:
                table.check_transition(current, wanted)
            assert caught.value.code == "illegal_transition"
            assert all(state in caught.value.detail for state in possible)


@pytest.mark.parametrize("name", ["allocation", "task"])
def test_final_states_lead_nowhere_and_say_so(name: str) -> None:
    table = TABLES[name]
    final = [state for state, possible in table.TRANSITIONS.items() if not possible]
    assert len(final) >= 2
    with pytest.raises(ConflictError, match="that is final"):
        table.check_transition(final[0], final[0])


def test_final_states_of_tasks_are_those_the_queries_use() -> None:
    assert {state for state, possible in tasks.TRANSITIONS.items() if not possible} == set(repository.FINAL)


def test_a_machine_can_always_come_back_to_online() -> None:
    for start in machines.TRANSITIONS:
        reached, before = {start}, set[str]()
        while reached != before:
            before = set(reached)
            reached |= {wanted for state in before for wanted in machines.TRANSITIONS[state]}
        assert "online" in reached
