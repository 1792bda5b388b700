-- What is wrong in telecore_development, where all 57 keys were added; each with its record.
--
-- Literal rows only, as in planted_production.sql. Runs as the owner, after option_a_keys.sql.

-- A key that was never validated, because of two rows from before.
ALTER TABLE public.workflow_stages DROP CONSTRAINT fk_workflow_stages_policy_stage_id;

UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_1' WHERE id = 'wfs_000000_1';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_2' WHERE id = 'wfs_000000_2';

ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_policy_stage_id
    FOREIGN KEY (policy_stage_id) REFERENCES public.approval_policy_stages (id)
    ON DELETE RESTRICT NOT VALID;

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_1', 'from before the key was added'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_2', 'from before the key was added');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('key_not_valid', 'public.workflow_stages(policy_stage_id)', NULL, 'added NOT VALID, never validated');

-- A key with the ORM's action in place of the decision: CASCADE instead of RESTRICT.
ALTER TABLE public.approver_overrides DROP CONSTRAINT fk_approver_overrides_cluster_id;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_cluster_id
    FOREIGN KEY (cluster_id) REFERENCES public.cluster_master (id)
    ON DELETE CASCADE;

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('key_mismatched', 'public.approver_overrides(cluster_id)', NULL, 'on delete cascade, decided was restrict');
