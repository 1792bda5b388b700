-- The tables that exist before the master tables: workspaces, users, sites and documents.

CREATE TABLE workspaces (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    code varchar(80) NOT NULL UNIQUE,
    name varchar(150) NOT NULL,
    customer_group_id varchar(255) NOT NULL,
    vendor_owner_id varchar(255) NOT NULL,
    is_active boolean DEFAULT true,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE users (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text,
    role text,
    is_active boolean DEFAULT true,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE sites (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    site_id varchar(100) NOT NULL UNIQUE,
    site_name varchar(255) NOT NULL,
    region varchar(100) NOT NULL,
    city varchar(100) NOT NULL,
    workspace_id uuid,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE documents (
    id text DEFAULT gen_random_uuid()::text PRIMARY KEY,
    title text NOT NULL,
    file_name varchar(255) NOT NULL,
    mime_type varchar(100),
    file_size integer,
    uploaded_by text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
