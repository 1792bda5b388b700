-- Option A: the 56 keys that the migration left out, written for the development environment.
--
-- NOT VALID first, which takes the lock only for a moment and holds for new rows; then
-- VALIDATE, in a statement of its own, which reads the rows under a lock that lets writes
-- pass. On a database in use, each statement belongs in a transaction of its own.

ALTER TABLE public.workflow_instances
    ADD CONSTRAINT fk_workflow_instances_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_instances
    ADD CONSTRAINT fk_workflow_instances_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_workflow_instance_id
    FOREIGN KEY (workflow_instance_id) REFERENCES public.workflow_instances (id)
    ON DELETE CASCADE NOT VALID;
ALTER TABLE public.atp_submissions
    ADD CONSTRAINT fk_atp_submissions_workflow_instance_id
    FOREIGN KEY (workflow_instance_id) REFERENCES public.workflow_instances (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.atp_submission_documents
    ADD CONSTRAINT fk_atp_submission_documents_submission_id
    FOREIGN KEY (submission_id) REFERENCES public.atp_submissions (id)
    ON DELETE CASCADE NOT VALID;
ALTER TABLE public.punchlists
    ADD CONSTRAINT fk_punchlists_workflow_instance_id
    FOREIGN KEY (workflow_instance_id) REFERENCES public.workflow_instances (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.punchlist_items
    ADD CONSTRAINT fk_punchlist_items_punchlist_id
    FOREIGN KEY (punchlist_id) REFERENCES public.punchlists (id)
    ON DELETE CASCADE NOT VALID;
ALTER TABLE public.atp_scope_master
    ADD CONSTRAINT fk_atp_scope_master_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.vendor_master
    ADD CONSTRAINT fk_vendor_master_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_role_master
    ADD CONSTRAINT fk_approval_role_master_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_master
    ADD CONSTRAINT fk_approval_policy_master_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_master
    ADD CONSTRAINT fk_cluster_master_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_approver_master
    ADD CONSTRAINT fk_cluster_approver_master_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.atp_submissions
    ADD CONSTRAINT fk_atp_submissions_workspace_id
    FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.config_versions
    ADD CONSTRAINT fk_config_versions_imported_by
    FOREIGN KEY (imported_by) REFERENCES public.users (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.config_versions
    ADD CONSTRAINT fk_config_versions_previous_version_id
    FOREIGN KEY (previous_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.config_versions
    ADD CONSTRAINT fk_config_versions_superseded_by_id
    FOREIGN KEY (superseded_by_id) REFERENCES public.config_versions (id)
    ON DELETE SET NULL NOT VALID;
ALTER TABLE public.atp_scope_master
    ADD CONSTRAINT fk_atp_scope_master_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.vendor_master
    ADD CONSTRAINT fk_vendor_master_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_role_master
    ADD CONSTRAINT fk_approval_role_master_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_master
    ADD CONSTRAINT fk_approval_policy_master_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_master
    ADD CONSTRAINT fk_approval_policy_master_scope_id
    FOREIGN KEY (scope_id) REFERENCES public.atp_scope_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_master
    ADD CONSTRAINT fk_approval_policy_master_vendor_id
    FOREIGN KEY (vendor_id) REFERENCES public.vendor_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_master
    ADD CONSTRAINT fk_approval_policy_master_parent_policy_id
    FOREIGN KEY (parent_policy_id) REFERENCES public.approval_policy_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_stages
    ADD CONSTRAINT fk_approval_policy_stages_policy_id
    FOREIGN KEY (policy_id) REFERENCES public.approval_policy_master (id)
    ON DELETE CASCADE NOT VALID;
ALTER TABLE public.approval_policy_stages
    ADD CONSTRAINT fk_approval_policy_stages_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approval_policy_stages
    ADD CONSTRAINT fk_approval_policy_stages_approval_role_id
    FOREIGN KEY (approval_role_id) REFERENCES public.approval_role_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_master
    ADD CONSTRAINT fk_cluster_master_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_master
    ADD CONSTRAINT fk_cluster_master_scope_id
    FOREIGN KEY (scope_id) REFERENCES public.atp_scope_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_approver_master
    ADD CONSTRAINT fk_cluster_approver_master_cluster_id
    FOREIGN KEY (cluster_id) REFERENCES public.cluster_master (id)
    ON DELETE CASCADE NOT VALID;
ALTER TABLE public.cluster_approver_master
    ADD CONSTRAINT fk_cluster_approver_master_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_approver_master
    ADD CONSTRAINT fk_cluster_approver_master_approval_role_id
    FOREIGN KEY (approval_role_id) REFERENCES public.approval_role_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_approver_master
    ADD CONSTRAINT fk_cluster_approver_master_primary_user_id
    FOREIGN KEY (primary_user_id) REFERENCES public.users (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.cluster_approver_master
    ADD CONSTRAINT fk_cluster_approver_master_backup_user_id
    FOREIGN KEY (backup_user_id) REFERENCES public.users (id)
    ON DELETE SET NULL NOT VALID;
ALTER TABLE public.workflow_instances
    ADD CONSTRAINT fk_workflow_instances_approval_policy_id
    FOREIGN KEY (approval_policy_id) REFERENCES public.approval_policy_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_instances
    ADD CONSTRAINT fk_workflow_instances_site_id
    FOREIGN KEY (site_id) REFERENCES public.sites (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_instances
    ADD CONSTRAINT fk_workflow_instances_vendor_id
    FOREIGN KEY (vendor_id) REFERENCES public.vendor_master (id)
    ON DELETE SET NULL NOT VALID;
ALTER TABLE public.workflow_instances
    ADD CONSTRAINT fk_workflow_instances_scope_id
    FOREIGN KEY (scope_id) REFERENCES public.atp_scope_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_approval_role_id
    FOREIGN KEY (approval_role_id) REFERENCES public.approval_role_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_approver_user_id
    FOREIGN KEY (approver_user_id) REFERENCES public.users (id)
    ON DELETE SET NULL NOT VALID;
ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_decided_by
    FOREIGN KEY (decided_by) REFERENCES public.users (id)
    ON DELETE SET NULL NOT VALID;
ALTER TABLE public.workflow_stages
    ADD CONSTRAINT fk_workflow_stages_policy_stage_id
    FOREIGN KEY (policy_stage_id) REFERENCES public.approval_policy_stages (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_workflow_stage_id
    FOREIGN KEY (workflow_stage_id) REFERENCES public.workflow_stages (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_submission_id
    FOREIGN KEY (submission_id) REFERENCES public.atp_submissions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_cluster_id
    FOREIGN KEY (cluster_id) REFERENCES public.cluster_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_approval_role_id
    FOREIGN KEY (approval_role_id) REFERENCES public.approval_role_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_from_user_id
    FOREIGN KEY (from_user_id) REFERENCES public.users (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.approver_overrides
    ADD CONSTRAINT fk_approver_overrides_to_user_id
    FOREIGN KEY (to_user_id) REFERENCES public.users (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.atp_submissions
    ADD CONSTRAINT fk_atp_submissions_config_version_id
    FOREIGN KEY (config_version_id) REFERENCES public.config_versions (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.atp_submissions
    ADD CONSTRAINT fk_atp_submissions_site_id
    FOREIGN KEY (site_id) REFERENCES public.sites (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.atp_submissions
    ADD CONSTRAINT fk_atp_submissions_scope_id
    FOREIGN KEY (scope_id) REFERENCES public.atp_scope_master (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.atp_submissions
    ADD CONSTRAINT fk_atp_submissions_vendor_id
    FOREIGN KEY (vendor_id) REFERENCES public.vendor_master (id)
    ON DELETE SET NULL NOT VALID;
ALTER TABLE public.punchlists
    ADD CONSTRAINT fk_punchlists_workflow_stage_id
    FOREIGN KEY (workflow_stage_id) REFERENCES public.workflow_stages (id)
    ON DELETE RESTRICT NOT VALID;
ALTER TABLE public.workflow_stage_actions
    ADD CONSTRAINT fk_workflow_stage_actions_workflow_stage_id
    FOREIGN KEY (workflow_stage_id) REFERENCES public.workflow_stages (id)
    ON DELETE CASCADE NOT VALID;

ALTER TABLE public.workflow_instances VALIDATE CONSTRAINT fk_workflow_instances_workspace_id;
ALTER TABLE public.workflow_instances VALIDATE CONSTRAINT fk_workflow_instances_config_version_id;
ALTER TABLE public.workflow_stages VALIDATE CONSTRAINT fk_workflow_stages_workflow_instance_id;
ALTER TABLE public.atp_submissions VALIDATE CONSTRAINT fk_atp_submissions_workflow_instance_id;
ALTER TABLE public.atp_submission_documents
    VALIDATE CONSTRAINT fk_atp_submission_documents_submission_id;
ALTER TABLE public.punchlists VALIDATE CONSTRAINT fk_punchlists_workflow_instance_id;
ALTER TABLE public.punchlist_items VALIDATE CONSTRAINT fk_punchlist_items_punchlist_id;
ALTER TABLE public.atp_scope_master VALIDATE CONSTRAINT fk_atp_scope_master_workspace_id;
ALTER TABLE public.vendor_master VALIDATE CONSTRAINT fk_vendor_master_workspace_id;
ALTER TABLE public.approval_role_master VALIDATE CONSTRAINT fk_approval_role_master_workspace_id;
ALTER TABLE public.approval_policy_master
    VALIDATE CONSTRAINT fk_approval_policy_master_workspace_id;
ALTER TABLE public.cluster_master VALIDATE CONSTRAINT fk_cluster_master_workspace_id;
ALTER TABLE public.cluster_approver_master
    VALIDATE CONSTRAINT fk_cluster_approver_master_workspace_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_workspace_id;
ALTER TABLE public.atp_submissions VALIDATE CONSTRAINT fk_atp_submissions_workspace_id;
ALTER TABLE public.config_versions VALIDATE CONSTRAINT fk_config_versions_imported_by;
ALTER TABLE public.config_versions VALIDATE CONSTRAINT fk_config_versions_previous_version_id;
ALTER TABLE public.config_versions VALIDATE CONSTRAINT fk_config_versions_superseded_by_id;
ALTER TABLE public.atp_scope_master VALIDATE CONSTRAINT fk_atp_scope_master_config_version_id;
ALTER TABLE public.vendor_master VALIDATE CONSTRAINT fk_vendor_master_config_version_id;
ALTER TABLE public.approval_role_master
    VALIDATE CONSTRAINT fk_approval_role_master_config_version_id;
ALTER TABLE public.approval_policy_master
    VALIDATE CONSTRAINT fk_approval_policy_master_config_version_id;
ALTER TABLE public.approval_policy_master VALIDATE CONSTRAINT fk_approval_policy_master_scope_id;
ALTER TABLE public.approval_policy_master VALIDATE CONSTRAINT fk_approval_policy_master_vendor_id;
ALTER TABLE public.approval_policy_master
    VALIDATE CONSTRAINT fk_approval_policy_master_parent_policy_id;
ALTER TABLE public.approval_policy_stages VALIDATE CONSTRAINT fk_approval_policy_stages_policy_id;
ALTER TABLE public.approval_policy_stages
    VALIDATE CONSTRAINT fk_approval_policy_stages_config_version_id;
ALTER TABLE public.approval_policy_stages
    VALIDATE CONSTRAINT fk_approval_policy_stages_approval_role_id;
ALTER TABLE public.cluster_master VALIDATE CONSTRAINT fk_cluster_master_config_version_id;
ALTER TABLE public.cluster_master VALIDATE CONSTRAINT fk_cluster_master_scope_id;
ALTER TABLE public.cluster_approver_master
    VALIDATE CONSTRAINT fk_cluster_approver_master_cluster_id;
ALTER TABLE public.cluster_approver_master
    VALIDATE CONSTRAINT fk_cluster_approver_master_config_version_id;
ALTER TABLE public.cluster_approver_master
    VALIDATE CONSTRAINT fk_cluster_approver_master_approval_role_id;
ALTER TABLE public.cluster_approver_master
    VALIDATE CONSTRAINT fk_cluster_approver_master_primary_user_id;
ALTER TABLE public.cluster_approver_master
    VALIDATE CONSTRAINT fk_cluster_approver_master_backup_user_id;
ALTER TABLE public.workflow_instances VALIDATE CONSTRAINT fk_workflow_instances_approval_policy_id;
ALTER TABLE public.workflow_instances VALIDATE CONSTRAINT fk_workflow_instances_site_id;
ALTER TABLE public.workflow_instances VALIDATE CONSTRAINT fk_workflow_instances_vendor_id;
ALTER TABLE public.workflow_instances VALIDATE CONSTRAINT fk_workflow_instances_scope_id;
ALTER TABLE public.workflow_stages VALIDATE CONSTRAINT fk_workflow_stages_config_version_id;
ALTER TABLE public.workflow_stages VALIDATE CONSTRAINT fk_workflow_stages_approval_role_id;
ALTER TABLE public.workflow_stages VALIDATE CONSTRAINT fk_workflow_stages_approver_user_id;
ALTER TABLE public.workflow_stages VALIDATE CONSTRAINT fk_workflow_stages_decided_by;
ALTER TABLE public.workflow_stages VALIDATE CONSTRAINT fk_workflow_stages_policy_stage_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_workflow_stage_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_submission_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_cluster_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_approval_role_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_from_user_id;
ALTER TABLE public.approver_overrides VALIDATE CONSTRAINT fk_approver_overrides_to_user_id;
ALTER TABLE public.atp_submissions VALIDATE CONSTRAINT fk_atp_submissions_config_version_id;
ALTER TABLE public.atp_submissions VALIDATE CONSTRAINT fk_atp_submissions_site_id;
ALTER TABLE public.atp_submissions VALIDATE CONSTRAINT fk_atp_submissions_scope_id;
ALTER TABLE public.atp_submissions VALIDATE CONSTRAINT fk_atp_submissions_vendor_id;
ALTER TABLE public.punchlists VALIDATE CONSTRAINT fk_punchlists_workflow_stage_id;
ALTER TABLE public.workflow_stage_actions
    VALIDATE CONSTRAINT fk_workflow_stage_actions_workflow_stage_id;
