-- What is wrong in telecore_production, row by row, each with its record in demo.planted.
--
-- Literal rows only: nothing here is found by a query, so that an audit which counts these rows
-- shares nothing with what it is compared to. Ids from 890000 name parents that do not exist,
-- ids from 900000 are rows that were added here.

-- The one key that the migration made was dropped by hand, "for an import".
ALTER TABLE public.config_versions DROP CONSTRAINT fk_config_versions_workspace_id;

-- Critical audits 2, 5, 6 and 8: a workspace was removed by hand. What it owned still names it,
-- and is whole in itself: apart from the workspace, every reference is valid.
INSERT INTO public.config_versions (
    id, workspace_id, source_file_name, source_type, version_number, status, imported_by,
    imported_at, created_at, updated_at
) VALUES
    ('cfg_9_matrix_1', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d09', 'retired_matrix_v1.xlsx', 'APPROVAL_MATRIX', 1, 'ARCHIVED', 'usr_0006', '2025-12-20 09:00', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('cfg_9_mapping_1', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d09', 'retired_mapping_v1.xlsx', 'CLUSTER_MAPPING', 1, 'ARCHIVED', 'usr_0006', '2025-12-20 09:00', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.config_versions(workspace_id)', 'cfg_9_matrix_1', 'its workspace was removed by hand'),
    ('orphan', 'public.config_versions(workspace_id)', 'cfg_9_mapping_1', 'its workspace was removed by hand');

INSERT INTO public.atp_scope_master (
    id, workspace_id, config_version_id, scope_code, scope_name, scope_group, atp_type,
    created_at, updated_at
) VALUES
    ('scp_9_1_mw', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d09', 'cfg_9_matrix_1', 'MW', 'Microwave link', 'TRANSPORT', 'BOTH', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.atp_scope_master(workspace_id)', 'scp_9_1_mw', 'its workspace was removed by hand');

INSERT INTO public.approval_policy_master (
    id, workspace_id, config_version_id, scope_id, atp_category, policy_version, created_at,
    updated_at
) VALUES
    ('pol_9_1_mw_any', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d09', 'cfg_9_matrix_1', 'scp_9_1_mw', 'BOTH', '1.0', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.approval_policy_master(workspace_id)', 'pol_9_1_mw_any', 'its workspace was removed by hand');

INSERT INTO public.workflow_instances (
    id, workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category,
    status, created_at, updated_at
) VALUES
    ('wfi_900001', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d09', 'cfg_9_matrix_1', 'pol_9_1_mw_any', 'ste_00027', 'scp_9_1_mw', 'BOTH', 'CANCELLED', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfi_900002', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d09', 'cfg_9_matrix_1', 'pol_9_1_mw_any', 'ste_00077', 'scp_9_1_mw', 'BOTH', 'CANCELLED', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_instances(workspace_id)', 'wfi_900001', 'its workspace was removed by hand'),
    ('orphan', 'public.workflow_instances(workspace_id)', 'wfi_900002', 'its workspace was removed by hand');

-- Critical audit 1: workflows whose config version is gone.
UPDATE public.workflow_instances SET config_version_id = 'cfg_1_matrix_0' WHERE id = 'wfi_000003';
UPDATE public.workflow_instances SET config_version_id = 'cfg_1_matrix_0' WHERE id = 'wfi_000004';
UPDATE public.workflow_instances SET config_version_id = 'cfg_3_matrix_0' WHERE id = 'wfi_000015';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_instances(config_version_id)', 'wfi_000003', 'the config version was deleted while in use'),
    ('orphan', 'public.workflow_instances(config_version_id)', 'wfi_000004', 'the config version was deleted while in use'),
    ('orphan', 'public.workflow_instances(config_version_id)', 'wfi_000015', 'the config version was deleted while in use');

-- Critical audit 3: stages whose workflow is gone.
INSERT INTO public.workflow_stages (
    id, workflow_instance_id, config_version_id, stage_number, approval_role_id, parallel_group,
    status, policy_stage_id, created_at, updated_at
) VALUES
    ('wfs_900001_1', 'wfi_890001', 'cfg_1_matrix_2', 1, 'rol_1_2_bo', NULL, 'SKIPPED', 'pst_1_2_mw_any_1', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfs_900001_2', 'wfi_890001', 'cfg_1_matrix_2', 2, 'rol_1_2_sme', 'A', 'SKIPPED', 'pst_1_2_mw_any_2', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfs_900001_3', 'wfi_890001', 'cfg_1_matrix_2', 2, 'rol_1_2_noc_head', 'A', 'SKIPPED', 'pst_1_2_mw_any_3', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfs_900001_4', 'wfi_890001', 'cfg_1_matrix_2', 3, 'rol_1_2_rth_head', NULL, 'SKIPPED', 'pst_1_2_mw_any_4', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfs_900001_5', 'wfi_890001', 'cfg_1_matrix_2', 4, 'rol_1_2_pmo', NULL, 'SKIPPED', 'pst_1_2_mw_any_5', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfs_900002_1', 'wfi_890002', 'cfg_2_matrix_3', 1, 'rol_2_3_bo', NULL, 'PENDING', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('wfs_900002_2', 'wfi_890002', 'cfg_2_matrix_3', 2, 'rol_2_3_noc_head', NULL, 'PENDING', NULL, '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900001_1', 'the workflow was deleted, its stages were not'),
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900001_2', 'the workflow was deleted, its stages were not'),
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900001_3', 'the workflow was deleted, its stages were not'),
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900001_4', 'the workflow was deleted, its stages were not'),
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900001_5', 'the workflow was deleted, its stages were not'),
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900002_1', 'the workflow was deleted, its stages were not'),
    ('orphan', 'public.workflow_stages(workflow_instance_id)', 'wfs_900002_2', 'the workflow was deleted, its stages were not');

-- Critical audit 4: submissions whose workflow is gone; of sub_000002 the vendor as well.
UPDATE public.atp_submissions SET workflow_instance_id = 'wfi_890003' WHERE id = 'sub_000002';
UPDATE public.atp_submissions SET workflow_instance_id = 'wfi_890004' WHERE id = 'sub_000009';
UPDATE public.atp_submissions SET workflow_instance_id = 'wfi_890005' WHERE id = 'sub_000010';
UPDATE public.atp_submissions SET workflow_instance_id = 'wfi_890006' WHERE id = 'sub_000011';
UPDATE public.atp_submissions SET workflow_instance_id = 'wfi_890007' WHERE id = 'sub_000012';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.atp_submissions(workflow_instance_id)', 'sub_000002', 'the workflow was deleted, the submission was not'),
    ('orphan', 'public.atp_submissions(workflow_instance_id)', 'sub_000009', 'the workflow was deleted, the submission was not'),
    ('orphan', 'public.atp_submissions(workflow_instance_id)', 'sub_000010', 'the workflow was deleted, the submission was not'),
    ('orphan', 'public.atp_submissions(workflow_instance_id)', 'sub_000011', 'the workflow was deleted, the submission was not'),
    ('orphan', 'public.atp_submissions(workflow_instance_id)', 'sub_000012', 'the workflow was deleted, the submission was not');

UPDATE public.atp_submissions SET vendor_id = 'ven_1_1_sinar' WHERE id = 'sub_000000';
UPDATE public.atp_submissions SET vendor_id = 'ven_1_1_sinar' WHERE id = 'sub_000001';
UPDATE public.atp_submissions SET vendor_id = 'ven_1_2_sinar' WHERE id = 'sub_000002';
UPDATE public.atp_submissions SET vendor_id = 'ven_1_3_sinar' WHERE id = 'sub_000003';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.atp_submissions(vendor_id)', 'sub_000000', 'the vendor was deleted'),
    ('orphan', 'public.atp_submissions(vendor_id)', 'sub_000001', 'the vendor was deleted'),
    ('orphan', 'public.atp_submissions(vendor_id)', 'sub_000002', 'the vendor was deleted'),
    ('orphan', 'public.atp_submissions(vendor_id)', 'sub_000003', 'the vendor was deleted');

-- Critical audit 7: punch lists whose workflow is gone.
INSERT INTO public.punchlists (
    id, workflow_instance_id, status, issued_by, issued_at, created_at, updated_at
) VALUES
    ('pch_900001', 'wfi_890001', 'OPEN', 'usr_0001', '2025-12-20 09:00', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pch_900002', 'wfi_890002', 'OPEN', 'usr_0001', '2025-12-20 09:00', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pch_900003', 'wfi_890003', 'OPEN', 'usr_0001', '2025-12-20 09:00', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pch_900004', 'wfi_890004', 'OPEN', 'usr_0001', '2025-12-20 09:00', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.punchlists(workflow_instance_id)', 'pch_900001', 'the workflow was deleted, its punch list was not'),
    ('orphan', 'public.punchlists(workflow_instance_id)', 'pch_900002', 'the workflow was deleted, its punch list was not'),
    ('orphan', 'public.punchlists(workflow_instance_id)', 'pch_900003', 'the workflow was deleted, its punch list was not'),
    ('orphan', 'public.punchlists(workflow_instance_id)', 'pch_900004', 'the workflow was deleted, its punch list was not');

-- More orphans in the core.
INSERT INTO public.atp_submission_documents (
    id, workspace_id, submission_id, document_id, document_type, uploaded_at, created_at
) VALUES
    ('sdo_900001', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890001', 'doc_000000_0', 'TEST_REPORT', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900002', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890001', 'doc_000000_1', 'SITE_PHOTOS', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900003', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890001', 'doc_000000_2', 'AS_BUILT_DRAWING', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900004', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890002', 'doc_000000_0', 'TEST_REPORT', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900005', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890002', 'doc_000000_1', 'SITE_PHOTOS', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900006', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890002', 'doc_000000_2', 'AS_BUILT_DRAWING', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900007', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890003', 'doc_000000_0', 'TEST_REPORT', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900008', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890003', 'doc_000000_1', 'SITE_PHOTOS', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900009', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890003', 'doc_000000_2', 'AS_BUILT_DRAWING', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900010', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890004', 'doc_000000_0', 'TEST_REPORT', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900011', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890004', 'doc_000000_1', 'SITE_PHOTOS', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('sdo_900012', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'sub_890004', 'doc_000000_2', 'AS_BUILT_DRAWING', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900001', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900002', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900003', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900004', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900005', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900006', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900007', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900008', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900009', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900010', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900011', 'the submission was deleted, its documents were not'),
    ('orphan', 'public.atp_submission_documents(submission_id)', 'sdo_900012', 'the submission was deleted, its documents were not');

INSERT INTO public.punchlist_items (
    id, punchlist_id, item_code, description, status, evidence_doc_id, created_at, updated_at
) VALUES
    ('pit_900001', 'pch_890001', 'PL-01', 'torque seal missing', 'OPEN', 'doc_000001_1', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900002', 'pch_890001', 'PL-02', 'torque seal missing', 'OPEN', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900003', 'pch_890002', 'PL-01', 'torque seal missing', 'OPEN', 'doc_000001_1', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900004', 'pch_890002', 'PL-02', 'torque seal missing', 'OPEN', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900005', 'pch_890003', 'PL-01', 'torque seal missing', 'OPEN', 'doc_000001_1', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('pit_900006', 'pch_890003', 'PL-02', 'torque seal missing', 'OPEN', NULL, '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900001', 'the punch list was deleted, its items were not'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900002', 'the punch list was deleted, its items were not'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900003', 'the punch list was deleted, its items were not'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900004', 'the punch list was deleted, its items were not'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900005', 'the punch list was deleted, its items were not'),
    ('orphan', 'public.punchlist_items(punchlist_id)', 'pit_900006', 'the punch list was deleted, its items were not');

INSERT INTO public.workflow_stage_actions (
    id, workflow_stage_id, action_type, actor_user_id, action_at, created_at
) VALUES
    ('act_900001', 'wfs_890001_1', 'ASSIGN', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900002', 'wfs_890001_2', 'APPROVE', 'usr_0002', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900003', 'wfs_890001_3', 'ASSIGN', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900004', 'wfs_890002_1', 'APPROVE', 'usr_0002', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900005', 'wfs_890002_2', 'ASSIGN', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900006', 'wfs_890002_3', 'APPROVE', 'usr_0002', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900007', 'wfs_890003_1', 'ASSIGN', NULL, '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900008', 'wfs_890003_2', 'APPROVE', 'usr_0002', '2025-12-20 09:00', '2025-12-20 09:00'),
    ('act_900009', 'wfs_890003_3', 'ASSIGN', NULL, '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900001', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900002', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900003', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900004', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900005', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900006', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900007', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900008', 'the stage was deleted, its log was not'),
    ('orphan', 'public.workflow_stage_actions(workflow_stage_id)', 'act_900009', 'the stage was deleted, its log was not');

UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_1' WHERE id = 'wfs_000000_1';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_2' WHERE id = 'wfs_000000_2';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_3' WHERE id = 'wfs_000000_3';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_4' WHERE id = 'wfs_000000_4';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_mw_sinar_5' WHERE id = 'wfs_000000_5';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_vlan_tagging_sinar_1'
    WHERE id = 'wfs_000001_1';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_vlan_tagging_sinar_2'
    WHERE id = 'wfs_000001_2';
UPDATE public.workflow_stages SET policy_stage_id = 'pst_1_1_vlan_tagging_sinar_3'
    WHERE id = 'wfs_000001_3';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_1', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_2', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_3', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_4', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000000_5', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000001_1', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000001_2', 'the policy of a vendor was deleted with its stages'),
    ('orphan', 'public.workflow_stages(policy_stage_id)', 'wfs_000001_3', 'the policy of a vendor was deleted with its stages');

UPDATE public.approval_policy_stages SET approval_role_id = 'rol_1_1_auditor'
    WHERE id = 'pst_1_1_mw_any_1';
UPDATE public.approval_policy_stages SET approval_role_id = 'rol_1_1_auditor'
    WHERE id = 'pst_1_1_mw_any_2';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.approval_policy_stages(approval_role_id)', 'pst_1_1_mw_any_1', 'the role was renamed, the stages were not'),
    ('orphan', 'public.approval_policy_stages(approval_role_id)', 'pst_1_1_mw_any_2', 'the role was renamed, the stages were not');

UPDATE public.cluster_approver_master SET cluster_id = 'clu_1_1_90' WHERE id = 'cap_1_1_00_rts_fop';
UPDATE public.cluster_approver_master SET cluster_id = 'clu_1_1_91' WHERE id = 'cap_1_1_01_rts_fop';
UPDATE public.cluster_approver_master SET cluster_id = 'clu_1_1_92' WHERE id = 'cap_1_1_02_rts_fop';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.cluster_approver_master(cluster_id)', 'cap_1_1_00_rts_fop', 'clusters were merged in the sheet'),
    ('orphan', 'public.cluster_approver_master(cluster_id)', 'cap_1_1_01_rts_fop', 'clusters were merged in the sheet'),
    ('orphan', 'public.cluster_approver_master(cluster_id)', 'cap_1_1_02_rts_fop', 'clusters were merged in the sheet');

UPDATE public.workflow_instances SET scope_id = 'scp_1_3_cme' WHERE id = 'wfi_000009';
UPDATE public.workflow_instances SET scope_id = 'scp_1_1_cme' WHERE id = 'wfi_000010';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_instances(scope_id)', 'wfi_000009', 'a scope that was never imported'),
    ('orphan', 'public.workflow_instances(scope_id)', 'wfi_000010', 'a scope that was never imported');

UPDATE public.approver_overrides SET submission_id = 'sub_890017' WHERE id = 'ovr_000017';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.approver_overrides(submission_id)', 'ovr_000017', 'the submission was deleted');

-- Orphans in the outer ring: users, sites and a table that refers to itself.
UPDATE public.workflow_stages SET decided_by = 'usr_0411' WHERE id = 'wfs_000003_1';
UPDATE public.workflow_stages SET decided_by = 'usr_0411' WHERE id = 'wfs_000003_2';
UPDATE public.workflow_stages SET decided_by = 'usr_0411' WHERE id = 'wfs_000003_3';
UPDATE public.workflow_stages SET decided_by = 'usr_0411' WHERE id = 'wfs_000003_4';
UPDATE public.workflow_stages SET decided_by = 'usr_0411' WHERE id = 'wfs_000003_5';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_stages(decided_by)', 'wfs_000003_1', 'the user was deleted'),
    ('orphan', 'public.workflow_stages(decided_by)', 'wfs_000003_2', 'the user was deleted'),
    ('orphan', 'public.workflow_stages(decided_by)', 'wfs_000003_3', 'the user was deleted'),
    ('orphan', 'public.workflow_stages(decided_by)', 'wfs_000003_4', 'the user was deleted'),
    ('orphan', 'public.workflow_stages(decided_by)', 'wfs_000003_5', 'the user was deleted');

UPDATE public.workflow_instances SET site_id = 'ste_89001' WHERE id = 'wfi_000012';
UPDATE public.workflow_instances SET site_id = 'ste_89001' WHERE id = 'wfi_000013';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.workflow_instances(site_id)', 'wfi_000012', 'the site was dismantled and deleted'),
    ('orphan', 'public.workflow_instances(site_id)', 'wfi_000013', 'the site was dismantled and deleted');

UPDATE public.config_versions SET previous_version_id = 'cfg_2_scopes_0'
    WHERE id = 'cfg_2_scopes_1';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('orphan', 'public.config_versions(previous_version_id)', 'cfg_2_scopes_1', 'the first import was deleted');

-- A workflow of workspace 2 that names a config version of workspace 1; a key accepts it.
INSERT INTO public.workflow_instances (
    id, workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category,
    status, created_at, updated_at
) VALUES
    ('wfi_900003', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d02', 'cfg_1_matrix_4', 'pol_2_4_mw_any', 'ste_00002', 'scp_2_4_mw', 'BOTH', 'IN_PROGRESS', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('cross_workspace', 'public.workflow_instances(config_version_id)', 'wfi_900003', 'the config version belongs to workspace 1');

-- NULL is no orphan: an audit that reports these is wrong.
UPDATE public.workflow_instances SET vendor_id = NULL WHERE id = 'wfi_000020';
UPDATE public.workflow_instances SET vendor_id = NULL WHERE id = 'wfi_000021';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('null_reference', 'public.workflow_instances(vendor_id)', 'wfi_000020', 'no vendor was named'),
    ('null_reference', 'public.workflow_instances(vendor_id)', 'wfi_000021', 'no vendor was named');

INSERT INTO public.atp_submissions (
    id, workspace_id, config_version_id, site_id, scope_id, atp_category, status, created_at,
    updated_at
) VALUES
    ('sub_900001', '5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01', 'cfg_1_matrix_4', 'ste_00000', 'scp_1_4_ran', 'BOTH', 'DRAFT', '2025-12-20 09:00', '2025-12-20 09:00');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('null_reference', 'public.atp_submissions(workflow_instance_id)', 'sub_900001', 'not sent in yet');

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('null_reference', 'public.atp_submissions(vendor_id)', 'sub_900001', 'no vendor was named');

UPDATE public.workflow_stages SET policy_stage_id = NULL WHERE id = 'wfs_000006_1';

INSERT INTO demo.planted (kind, relationship, child_key, note) VALUES
    ('null_reference', 'public.workflow_stages(policy_stage_id)', 'wfs_000006_1', 'a stage that was added by hand');
