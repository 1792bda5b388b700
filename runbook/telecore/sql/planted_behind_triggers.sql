-- Three orphan rows behind a key that calls itself valid: its triggers on the child are disabled
-- when this runs (see runbook/telecore/defects.py), as a restore with --disable-triggers does.

INSERT INTO public.punchlist_items (
    id, punchlist_id, item_code, description, status, created_at, updated_at
) VALUES
    ('pit_900001', 'pch_890001', 'PL-01', 'torque seal missing', 'OPEN', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900002', 'pch_890001', 'PL-02', 'torque seal missing', 'OPEN', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900003', 'pch_890001', 'PL-03', 'torque seal missing', 'OPEN', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900001', 'restored while the triggers were disabled'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900002', 'restored while the triggers were disabled'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900003', 'restored while the triggers were disabled');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('key_trigger_disabled', 'public.punchlist_items(punchlist_id)', NULL, 'the triggers on the child are disabled');
