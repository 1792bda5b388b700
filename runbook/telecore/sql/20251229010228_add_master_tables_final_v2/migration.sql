-- Migration 20251229010228_add_master_tables_final_v2, as it was deployed to staging on 2025-12-29.
--
-- 16 master tables, 21 CHECK constraints, 89 performance indexes, one partial unique index.
-- The relations are declared in the ORM's schema; only one of them became a REFERENCES clause
-- here (config_versions.workspace_id). That is the fault which this project documents.
--
-- Runs as the owner of the database; needs no superuser.

-- pgcrypto, where this server offers it and the current role may install it: it is a trusted
-- extension, so a database owner may. gen_random_uuid() itself is built in since PostgreSQL 13.
DO $$
BEGIN
    IF has_database_privilege(current_database(), 'CREATE')
        AND EXISTS (
            SELECT FROM pg_catalog.pg_available_extensions AS e
            JOIN pg_catalog.pg_available_extension_versions AS v
                ON v.name = e.name AND v.version = e.default_version
            WHERE e.name = 'pgcrypto'
                AND e.installed_version IS NULL
                AND (v.trusted OR current_setting('is_superuser') = 'on')
        )
    THEN
        CREATE EXTENSION pgcrypto;
    END IF;
END
$$;

CREATE TABLE config_versions (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    source_file_name varchar(255) NOT NULL,
    source_type varchar(50) NOT NULL,
    source_checksum varchar(64),
    version_number integer NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'DRAFT',
    row_count integer,
    validation_status varchar(20),
    validation_errors text,
    validation_warnings text,
    imported_by text NOT NULL,
    imported_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    activated_at timestamp,
    archived_at timestamp,
    effective_date date,
    expire_date date,
    previous_version_id text,
    superseded_by_id text,
    notes text,
    is_rollback boolean DEFAULT false,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT ck_config_versions_status
        CHECK (status IN ('DRAFT', 'ACTIVE', 'SUPERSEDED', 'ARCHIVED')),
    CONSTRAINT ck_config_versions_source_type
        CHECK (source_type IN ('APPROVAL_MATRIX', 'CLUSTER_MAPPING', 'SCOPE_CONFIG')),
    CONSTRAINT ck_config_versions_validation_status
        CHECK (validation_status IN ('PENDING', 'VALID', 'INVALID', 'WARNINGS')),
    CONSTRAINT ck_config_versions_version_number CHECK (version_number > 0),
    CONSTRAINT ck_config_versions_dates CHECK (expire_date >= effective_date),
    CONSTRAINT fk_config_versions_workspace_id
        FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE RESTRICT
);

CREATE TABLE atp_scope_master (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    config_version_id text NOT NULL,
    scope_code varchar(50) NOT NULL,
    scope_name varchar(150) NOT NULL,
    scope_group varchar(50) NOT NULL,
    category_code varchar(50),
    atp_type varchar(20) NOT NULL,
    default_template_code varchar(50),
    requires_cluster boolean DEFAULT false,
    default_workflow_stage varchar(50),
    sla_policy_id text,
    is_active boolean DEFAULT true,
    effective_date date,
    expiry_date date,
    description text,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_by text,
    CONSTRAINT uq_atp_scope_master UNIQUE (workspace_id, scope_code, config_version_id),
    CONSTRAINT ck_atp_scope_master_atp_type CHECK (atp_type IN ('HARDWARE', 'SOFTWARE', 'BOTH')),
    CONSTRAINT ck_atp_scope_master_dates CHECK (expiry_date >= effective_date)
);

CREATE TABLE vendor_master (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    config_version_id text NOT NULL,
    vendor_code varchar(50) NOT NULL,
    vendor_name varchar(150) NOT NULL,
    vendor_type varchar(50) NOT NULL,
    contact_person varchar(255),
    contact_email varchar(255),
    contact_phone varchar(50),
    is_active boolean DEFAULT true,
    effective_date date,
    expiry_date date,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_vendor_master UNIQUE (workspace_id, vendor_code, config_version_id),
    CONSTRAINT ck_vendor_master_dates CHECK (expiry_date >= effective_date)
);

CREATE TABLE approval_role_master (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid,
    config_version_id text NOT NULL,
    role_code varchar(50) NOT NULL,
    role_name varchar(150) NOT NULL,
    role_description text,
    hierarchy_order integer NOT NULL,
    stage_group varchar(50),
    is_final_approver boolean DEFAULT false,
    can_approve_parallel boolean DEFAULT false,
    is_active boolean DEFAULT true,
    effective_date timestamp,
    expiry_date date,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_approval_role_master UNIQUE (workspace_id, role_code, config_version_id),
    CONSTRAINT ck_approval_role_master_stage_group
        CHECK (stage_group IN ('REVIEW', 'VALIDATION', 'SIGN', 'FINAL'))
);

CREATE TABLE approval_policy_master (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    config_version_id text NOT NULL,
    scope_id text NOT NULL,
    vendor_id text,
    atp_category varchar(20) NOT NULL,
    fallback_priority integer,
    parent_policy_id text,
    policy_version varchar(20) NOT NULL,
    policy_name varchar(255),
    description text,
    is_active boolean DEFAULT true,
    effective_date date,
    expiry_date date,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_approval_policy_master
        UNIQUE (workspace_id, config_version_id, scope_id, vendor_id, atp_category),
    CONSTRAINT ck_approval_policy_master_atp_category
        CHECK (atp_category IN ('HARDWARE', 'SOFTWARE', 'BOTH')),
    CONSTRAINT ck_approval_policy_master_dates CHECK (expiry_date >= effective_date)
);

CREATE TABLE approval_policy_stages (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    policy_id text NOT NULL,
    config_version_id text NOT NULL,
    stage_number integer NOT NULL,
    stage_name varchar(100) NOT NULL,
    stage_group varchar(50),
    approval_role_id text NOT NULL,
    is_required boolean DEFAULT true,
    is_parallel boolean DEFAULT false,
    parallel_group varchar(10),
    sla_hours integer,
    sla_days integer,
    assignment_mode varchar(20) NOT NULL,
    auto_assign_rule text,
    notification_on_assign boolean DEFAULT true,
    notification_on_approve boolean DEFAULT true,
    notification_on_reject boolean DEFAULT true,
    sequence_order integer NOT NULL,
    is_active boolean DEFAULT true,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_approval_policy_stages
        UNIQUE (policy_id, stage_number, approval_role_id, config_version_id),
    CONSTRAINT ck_approval_policy_stages_stage_number CHECK (stage_number > 0),
    CONSTRAINT ck_approval_policy_stages_sla CHECK (sla_hours > 0 AND sla_days > 0)
);

CREATE TABLE cluster_master (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    config_version_id text NOT NULL,
    scope_id text NOT NULL,
    island_code varchar(10),
    region_code varchar(10),
    region_name varchar(100) NOT NULL,
    province_name varchar(100),
    city_code varchar(10),
    city_name varchar(100),
    cluster_code varchar(120) NOT NULL,
    m_sequence varchar(10),
    site_count integer DEFAULT 0,
    source_sheet varchar(100),
    source_row_number integer,
    is_active boolean DEFAULT true,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_cluster_master UNIQUE (workspace_id, config_version_id, cluster_code)
);

CREATE TABLE cluster_approver_master (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    cluster_id text NOT NULL,
    config_version_id text NOT NULL,
    approval_role_id text NOT NULL,
    primary_user_id text NOT NULL,
    backup_user_id text,
    assignment_notes text,
    source_reference varchar(255),
    is_active boolean DEFAULT true,
    effective_from date,
    effective_to date,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_cluster_approver_master
        UNIQUE (workspace_id, cluster_id, approval_role_id, config_version_id),
    CONSTRAINT ck_cluster_approver_master_dates CHECK (effective_to >= effective_from)
);

CREATE TABLE workflow_instances (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    config_version_id text NOT NULL,
    approval_policy_id text NOT NULL,
    site_id varchar(100) NOT NULL,
    vendor_id text,
    scope_id text NOT NULL,
    atp_category varchar(20) NOT NULL,
    status varchar(30) NOT NULL DEFAULT 'IN_PROGRESS',
    current_stage_number integer,
    total_stages integer,
    started_at timestamp,
    completed_at timestamp,
    created_by text,
    routing_snapshot jsonb,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT ck_workflow_instances_status
        CHECK (status IN ('IN_PROGRESS', 'COMPLETED', 'REJECTED', 'CANCELLED')),
    CONSTRAINT ck_workflow_instances_atp_category
        CHECK (atp_category IN ('HARDWARE', 'SOFTWARE', 'BOTH')),
    CONSTRAINT ck_workflow_instances_dates CHECK (completed_at >= started_at)
);

CREATE TABLE workflow_stages (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workflow_instance_id text NOT NULL,
    config_version_id text NOT NULL,
    stage_number integer NOT NULL,
    approval_role_id text NOT NULL,
    is_parallel boolean DEFAULT false,
    parallel_group varchar(10),
    approver_user_id text,
    status varchar(30) NOT NULL DEFAULT 'PENDING',
    decided_by text,
    decided_at timestamp,
    decision_comments text,
    sla_due_at timestamp,
    sla_breached_at timestamp,
    policy_stage_id text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_workflow_stages
        UNIQUE (workflow_instance_id, stage_number, approval_role_id, parallel_group),
    CONSTRAINT ck_workflow_stages_status
        CHECK (status IN ('PENDING', 'APPROVED', 'REJECTED', 'SKIPPED'))
);

CREATE TABLE approver_overrides (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    override_type varchar(20) NOT NULL,
    workflow_stage_id text,
    submission_id text,
    cluster_id text,
    region varchar(100),
    approval_role_id text NOT NULL,
    from_user_id text NOT NULL,
    to_user_id text NOT NULL,
    override_reason text NOT NULL,
    requestor_user_id text,
    approval_status varchar(20),
    approved_by text,
    approved_at timestamp,
    is_active boolean DEFAULT true,
    effective_date date,
    expiry_date date,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    notes text
);

CREATE TABLE atp_submissions (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    config_version_id text NOT NULL,
    site_id varchar(100) NOT NULL,
    scope_id text NOT NULL,
    vendor_id text,
    atp_category varchar(20) NOT NULL,
    workflow_instance_id text,
    primary_document_id text,
    document_count integer DEFAULT 0,
    status varchar(30) NOT NULL DEFAULT 'DRAFT',
    current_stage_number integer,
    last_action_at timestamp,
    submitted_at timestamp,
    approved_at timestamp,
    rejected_at timestamp,
    created_by text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT uq_atp_submissions UNIQUE (workspace_id, site_id, scope_id, atp_category),
    CONSTRAINT ck_atp_submissions_status
        CHECK (status IN ('DRAFT', 'PENDING_APPROVAL', 'APPROVED', 'REJECTED'))
);

CREATE TABLE atp_submission_documents (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workspace_id uuid NOT NULL,
    submission_id text NOT NULL,
    document_id text NOT NULL,
    document_type varchar(30) NOT NULL,
    uploaded_by text,
    uploaded_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    source_batch_id text,
    notes text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE punchlists (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workflow_instance_id text NOT NULL,
    workflow_stage_id text,
    status varchar(20) NOT NULL DEFAULT 'OPEN',
    issued_by text,
    issued_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    cleared_by text,
    cleared_at timestamp,
    notes text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT ck_punchlists_status CHECK (status IN ('OPEN', 'CLEARED'))
);

CREATE TABLE punchlist_items (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    punchlist_id text NOT NULL,
    item_code varchar(50) NOT NULL,
    description text NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'OPEN',
    evidence_doc_id text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT ck_punchlist_items_status CHECK (status IN ('OPEN', 'CLEARED'))
);

CREATE TABLE workflow_stage_actions (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    workflow_stage_id text NOT NULL,
    action_type varchar(30) NOT NULL,
    actor_user_id text,
    action_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    payload jsonb,
    notes text,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- At most one ACTIVE config version per workspace and source type.
CREATE UNIQUE INDEX ux_config_versions_one_active_per_workspace
    ON config_versions (workspace_id, source_type) WHERE status = 'ACTIVE';

-- Performance indexes: every referencing column, then status, dates and lookups.

CREATE INDEX idx_config_versions_workspace_id ON config_versions (workspace_id);
CREATE INDEX idx_config_versions_imported_by ON config_versions (imported_by);
CREATE INDEX idx_config_versions_previous_version_id ON config_versions (previous_version_id);
CREATE INDEX idx_config_versions_superseded_by_id ON config_versions (superseded_by_id);
CREATE INDEX idx_config_versions_status ON config_versions (status);
CREATE INDEX idx_config_versions_workspace_id_source_type_status
    ON config_versions (workspace_id, source_type, status);
CREATE INDEX idx_config_versions_workspace_id_source_type_version_number
    ON config_versions (workspace_id, source_type, version_number);
CREATE INDEX idx_config_versions_effective_date ON config_versions (effective_date);
CREATE INDEX idx_config_versions_imported_at ON config_versions (imported_at);

CREATE INDEX idx_atp_scope_master_workspace_id ON atp_scope_master (workspace_id);
CREATE INDEX idx_atp_scope_master_config_version_id ON atp_scope_master (config_version_id);
CREATE INDEX idx_atp_scope_master_scope_group ON atp_scope_master (scope_group);
CREATE INDEX idx_atp_scope_master_workspace_id_is_active
    ON atp_scope_master (workspace_id, is_active);

CREATE INDEX idx_vendor_master_workspace_id ON vendor_master (workspace_id);
CREATE INDEX idx_vendor_master_config_version_id ON vendor_master (config_version_id);
CREATE INDEX idx_vendor_master_vendor_type ON vendor_master (vendor_type);
CREATE INDEX idx_vendor_master_workspace_id_is_active ON vendor_master (workspace_id, is_active);

CREATE INDEX idx_approval_role_master_workspace_id ON approval_role_master (workspace_id);
CREATE INDEX idx_approval_role_master_config_version_id ON approval_role_master (config_version_id);
CREATE INDEX idx_approval_role_master_stage_group ON approval_role_master (stage_group);
CREATE INDEX idx_approval_role_master_hierarchy_order ON approval_role_master (hierarchy_order);

CREATE INDEX idx_approval_policy_master_workspace_id ON approval_policy_master (workspace_id);
CREATE INDEX idx_approval_policy_master_config_version_id
    ON approval_policy_master (config_version_id);
CREATE INDEX idx_approval_policy_master_scope_id ON approval_policy_master (scope_id);
CREATE INDEX idx_approval_policy_master_vendor_id ON approval_policy_master (vendor_id);
CREATE INDEX idx_approval_policy_master_parent_policy_id
    ON approval_policy_master (parent_policy_id);
CREATE INDEX idx_approval_policy_master_lookup
    ON approval_policy_master (workspace_id, scope_id, vendor_id, atp_category);
CREATE INDEX idx_approval_policy_master_effective_date ON approval_policy_master (effective_date);

CREATE INDEX idx_approval_policy_stages_policy_id ON approval_policy_stages (policy_id);
CREATE INDEX idx_approval_policy_stages_config_version_id
    ON approval_policy_stages (config_version_id);
CREATE INDEX idx_approval_policy_stages_approval_role_id
    ON approval_policy_stages (approval_role_id);
CREATE INDEX idx_approval_policy_stages_policy_id_sequence_order
    ON approval_policy_stages (policy_id, sequence_order);

CREATE INDEX idx_cluster_master_workspace_id ON cluster_master (workspace_id);
CREATE INDEX idx_cluster_master_config_version_id ON cluster_master (config_version_id);
CREATE INDEX idx_cluster_master_scope_id ON cluster_master (scope_id);
CREATE INDEX idx_cluster_master_region_name ON cluster_master (region_name);
CREATE INDEX idx_cluster_master_workspace_id_region_code_city_code
    ON cluster_master (workspace_id, region_code, city_code);

CREATE INDEX idx_cluster_approver_master_workspace_id ON cluster_approver_master (workspace_id);
CREATE INDEX idx_cluster_approver_master_cluster_id ON cluster_approver_master (cluster_id);
CREATE INDEX idx_cluster_approver_master_config_version_id
    ON cluster_approver_master (config_version_id);
CREATE INDEX idx_cluster_approver_master_approval_role_id
    ON cluster_approver_master (approval_role_id);
CREATE INDEX idx_cluster_approver_master_primary_user_id
    ON cluster_approver_master (primary_user_id);
CREATE INDEX idx_cluster_approver_master_backup_user_id ON cluster_approver_master (backup_user_id);
CREATE INDEX idx_cluster_approver_master_effective_from_effective_to
    ON cluster_approver_master (effective_from, effective_to);

CREATE INDEX idx_workflow_instances_workspace_id ON workflow_instances (workspace_id);
CREATE INDEX idx_workflow_instances_config_version_id ON workflow_instances (config_version_id);
CREATE INDEX idx_workflow_instances_approval_policy_id ON workflow_instances (approval_policy_id);
CREATE INDEX idx_workflow_instances_site_id ON workflow_instances (site_id);
CREATE INDEX idx_workflow_instances_vendor_id ON workflow_instances (vendor_id);
CREATE INDEX idx_workflow_instances_scope_id ON workflow_instances (scope_id);
CREATE INDEX idx_workflow_instances_status ON workflow_instances (status);
CREATE INDEX idx_workflow_instances_workspace_id_status
    ON workflow_instances (workspace_id, status);
CREATE INDEX idx_workflow_instances_started_at ON workflow_instances (started_at);
CREATE INDEX idx_workflow_instances_created_at ON workflow_instances (created_at);

CREATE INDEX idx_workflow_stages_workflow_instance_id ON workflow_stages (workflow_instance_id);
CREATE INDEX idx_workflow_stages_config_version_id ON workflow_stages (config_version_id);
CREATE INDEX idx_workflow_stages_approval_role_id ON workflow_stages (approval_role_id);
CREATE INDEX idx_workflow_stages_approver_user_id ON workflow_stages (approver_user_id);
CREATE INDEX idx_workflow_stages_decided_by ON workflow_stages (decided_by);
CREATE INDEX idx_workflow_stages_policy_stage_id ON workflow_stages (policy_stage_id);
CREATE INDEX idx_workflow_stages_approver_user_id_status
    ON workflow_stages (approver_user_id, status);
CREATE INDEX idx_workflow_stages_status_sla_due_at ON workflow_stages (status, sla_due_at);
CREATE INDEX idx_workflow_stages_decided_at ON workflow_stages (decided_at);

CREATE INDEX idx_approver_overrides_workspace_id ON approver_overrides (workspace_id);
CREATE INDEX idx_approver_overrides_workflow_stage_id ON approver_overrides (workflow_stage_id);
CREATE INDEX idx_approver_overrides_submission_id ON approver_overrides (submission_id);
CREATE INDEX idx_approver_overrides_cluster_id ON approver_overrides (cluster_id);
CREATE INDEX idx_approver_overrides_approval_role_id ON approver_overrides (approval_role_id);
CREATE INDEX idx_approver_overrides_from_user_id ON approver_overrides (from_user_id);
CREATE INDEX idx_approver_overrides_to_user_id ON approver_overrides (to_user_id);
CREATE INDEX idx_approver_overrides_workspace_id_is_active
    ON approver_overrides (workspace_id, is_active);
CREATE INDEX idx_approver_overrides_effective_date_expiry_date
    ON approver_overrides (effective_date, expiry_date);

CREATE INDEX idx_atp_submissions_workspace_id ON atp_submissions (workspace_id);
CREATE INDEX idx_atp_submissions_config_version_id ON atp_submissions (config_version_id);
CREATE INDEX idx_atp_submissions_site_id ON atp_submissions (site_id);
CREATE INDEX idx_atp_submissions_scope_id ON atp_submissions (scope_id);
CREATE INDEX idx_atp_submissions_vendor_id ON atp_submissions (vendor_id);
CREATE INDEX idx_atp_submissions_workflow_instance_id ON atp_submissions (workflow_instance_id);
CREATE INDEX idx_atp_submissions_status ON atp_submissions (status);
CREATE INDEX idx_atp_submissions_workspace_id_status ON atp_submissions (workspace_id, status);
CREATE INDEX idx_atp_submissions_submitted_at ON atp_submissions (submitted_at);

CREATE INDEX idx_atp_submission_documents_submission_id ON atp_submission_documents (submission_id);
CREATE INDEX idx_atp_submission_documents_document_id ON atp_submission_documents (document_id);

CREATE INDEX idx_punchlists_workflow_instance_id ON punchlists (workflow_instance_id);
CREATE INDEX idx_punchlists_workflow_stage_id ON punchlists (workflow_stage_id);
CREATE INDEX idx_punchlists_status ON punchlists (status);

CREATE INDEX idx_punchlist_items_punchlist_id ON punchlist_items (punchlist_id);

CREATE INDEX idx_workflow_stage_actions_workflow_stage_id
    ON workflow_stage_actions (workflow_stage_id);
CREATE INDEX idx_workflow_stage_actions_action_at ON workflow_stage_actions (action_at);
