--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: refuse_audit_change(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            RAISE EXCEPTION 'audit rows are append-only: % on % refused', TG_OP, TG_TABLE_NAME;
        END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: access_sessions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.access_sessions (
    id uuid NOT NULL,
    protocol character varying NOT NULL,
    state character varying NOT NULL,
    machine_id uuid NOT NULL,
    allocation_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    user_id uuid NOT NULL,
    instance character varying NOT NULL,
    remote_address character varying NOT NULL,
    ending character varying NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    end_reason character varying NOT NULL,
    credential character varying DEFAULT ''::character varying NOT NULL
);


--
-- Name: access_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.access_tokens (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name character varying NOT NULL,
    prefix character varying NOT NULL,
    token_hash character varying NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);


--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: allocations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.allocations (
    id uuid NOT NULL,
    machine_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    state character varying NOT NULL,
    account character varying NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    end_reason character varying NOT NULL,
    note character varying NOT NULL,
    account_wiped boolean NOT NULL,
    account_detail character varying NOT NULL,
    created_by uuid,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_allocations_ends_after_start CHECK ((ends_at > starts_at))
);


--
-- Name: artifacts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.artifacts (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    path character varying NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 character varying NOT NULL,
    object_key character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: attempts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attempts (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    number bigint NOT NULL,
    machine_id uuid NOT NULL,
    state character varying NOT NULL,
    reason character varying NOT NULL,
    gpu_indices jsonb NOT NULL,
    lease_expires_at timestamp with time zone NOT NULL,
    stop_requested boolean NOT NULL,
    exit_code bigint,
    assigned_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    log_stored bigint NOT NULL,
    log_final boolean NOT NULL,
    log_truncated boolean NOT NULL
);


--
-- Name: audit_logs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_logs (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    txid bigint DEFAULT ((pg_current_xact_id())::text)::bigint NOT NULL,
    actor_id uuid,
    actor_name character varying NOT NULL,
    action character varying NOT NULL,
    outcome character varying NOT NULL,
    resource_type character varying NOT NULL,
    resource_id character varying NOT NULL,
    customer_id uuid,
    address character varying NOT NULL,
    request_id character varying NOT NULL,
    detail jsonb NOT NULL
);


--
-- Name: audit_logs_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.audit_logs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: audit_seals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_seals (
    seq bigint NOT NULL,
    audit_id bigint NOT NULL,
    txid bigint NOT NULL,
    hash character varying NOT NULL
);


--
-- Name: customers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.customers (
    id uuid NOT NULL,
    company_code character varying NOT NULL,
    name character varying NOT NULL,
    status character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: idempotency_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency_keys (
    user_id uuid NOT NULL,
    key character varying NOT NULL,
    request_hash character varying NOT NULL,
    resource_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: join_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.join_tokens (
    id uuid NOT NULL,
    name character varying NOT NULL,
    token_hash character varying NOT NULL,
    max_uses bigint NOT NULL,
    uses bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    created_by uuid NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: machines; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.machines (
    id uuid NOT NULL,
    name character varying NOT NULL,
    state character varying NOT NULL,
    maintenance boolean NOT NULL,
    region character varying NOT NULL,
    revision bigint NOT NULL,
    applied_revision bigint NOT NULL,
    reachable boolean NOT NULL,
    reachability_since timestamp with time zone,
    last_seen_at timestamp with time zone,
    clock_skew_s double precision,
    agent_version character varying NOT NULL,
    protocol_version character varying NOT NULL,
    boot_id character varying NOT NULL,
    inventory jsonb,
    inventory_hash character varying NOT NULL,
    simulated boolean NOT NULL,
    isolation character varying NOT NULL,
    gpu_count bigint NOT NULL,
    gpu_model character varying NOT NULL,
    gpu_memory_bytes bigint NOT NULL,
    cpu_threads bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    os character varying NOT NULL,
    driver_version character varying NOT NULL,
    rotation_requested boolean NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: node_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.node_tokens (
    id uuid NOT NULL,
    machine_id uuid NOT NULL,
    token_hash character varying NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone
);


--
-- Name: reclaim_steps; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reclaim_steps (
    allocation_id uuid NOT NULL,
    "position" bigint NOT NULL,
    name character varying NOT NULL,
    status character varying NOT NULL,
    detail character varying NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone
);


--
-- Name: ssh_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ssh_keys (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name character varying NOT NULL,
    public_key character varying NOT NULL,
    fingerprint character varying NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: tasks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tasks (
    id uuid NOT NULL,
    name character varying NOT NULL,
    kind character varying NOT NULL,
    state character varying NOT NULL,
    reason character varying NOT NULL,
    machine_id uuid NOT NULL,
    allocation_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    submitted_by uuid NOT NULL,
    command character varying NOT NULL,
    args jsonb NOT NULL,
    env jsonb NOT NULL,
    workdir character varying,
    timeout_s bigint NOT NULL,
    priority bigint NOT NULL,
    max_retries bigint NOT NULL,
    gpus bigint NOT NULL,
    attempt bigint NOT NULL,
    exit_code bigint,
    created_at timestamp with time zone NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    not_before timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.users (
    id uuid NOT NULL,
    email character varying NOT NULL,
    display_name character varying NOT NULL,
    role character varying NOT NULL,
    customer_id uuid,
    password_hash character varying NOT NULL,
    must_change_password boolean NOT NULL,
    disabled boolean NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Data for Name: access_sessions; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: access_tokens; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES
	('0002_pre_session_credential');


--
-- Data for Name: allocations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.allocations VALUES
	('01a20db7-196d-78d9-9291-2ab2465cc085', '01a20db7-1829-7ed9-9a32-d2f33cc7f658', '01a20db7-1739-7688-8591-7394625958f8', 'active', 'rg-aurora', '2026-11-24 13:20:33.127964+00', '2031-10-29 13:20:33.126708+00', NULL, '', '', false, '', '01a20db7-15e6-725a-bc0b-c1b370e40ee0', '2026-11-24 13:20:33.127964+00');


--
-- Data for Name: artifacts; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: attempts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.attempts VALUES
	('01a20db7-1992-7894-9d95-504accded595', '01a20db7-198c-7b9f-ae1d-26e88565889c', 1, '01a20db7-1829-7ed9-9a32-d2f33cc7f658', 'assigned', '', '[]', '2026-11-24 13:25:33.170533+00', false, NULL, '2026-11-24 13:20:33.170533+00', NULL, NULL, 0, false, false);


--
-- Data for Name: audit_logs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_logs OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-24 13:20:32.284356+00', 770, NULL, 'system', 'user.create', 'allowed', 'user', '01a20db7-15e6-725a-bc0b-c1b370e40ee0', NULL, '', '', '{"role": "admin", "email": "admin@example.com"}'),
	(2, '2026-11-24 13:20:32.346376+00', 771, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'auth.login', 'allowed', 'user', '01a20db7-15e6-725a-bc0b-c1b370e40ee0', NULL, '127.0.0.1', 'req-34841d1e80544ec7', '{}'),
	(3, '2026-11-24 13:20:32.47492+00', 772, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'user.password_change', 'allowed', 'user', '01a20db7-15e6-725a-bc0b-c1b370e40ee0', NULL, '127.0.0.1', 'req-f3dc3c33710243fa', '{}'),
	(4, '2026-11-24 13:20:32.55881+00', 773, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'user.password_change', 'allowed', 'user', '01a20db7-15e6-725a-bc0b-c1b370e40ee0', NULL, '127.0.0.1', 'req-b35a5b83b16b4aa9', '{}'),
	(5, '2026-11-24 13:20:32.570437+00', 774, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'customer.create', 'allowed', 'customer', '01a20db7-1739-7688-8591-7394625958f8', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-a698fb29e7d0437d', '{"company_code": "aurora"}'),
	(6, '2026-11-24 13:20:32.614539+00', 775, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'user.create', 'allowed', 'user', '01a20db7-1745-71ec-9467-eff8ad882006', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-4835c3bbda8143ff', '{"role": "customer_member", "email": "member@example.com"}'),
	(7, '2026-11-24 13:20:32.650162+00', 776, '01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'auth.login', 'allowed', 'user', '01a20db7-1745-71ec-9467-eff8ad882006', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-377e5afb2c404878', '{}'),
	(8, '2026-11-24 13:20:32.719847+00', 777, '01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'user.password_change', 'allowed', 'user', '01a20db7-1745-71ec-9467-eff8ad882006', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-6406d5a7d2ec49f2', '{}'),
	(9, '2026-11-24 13:20:32.791528+00', 778, '01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'user.password_change', 'allowed', 'user', '01a20db7-1745-71ec-9467-eff8ad882006', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-4001116e1db74f4a', '{}'),
	(10, '2026-11-24 13:20:32.800926+00', 779, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'join_token.create', 'allowed', 'join_token', '01a20db7-181f-7892-9798-6977efd8430a', NULL, '127.0.0.1', 'req-56318aeceb3a47fb', '{"name": "node-kept", "max_uses": 1}'),
	(11, '2026-11-24 13:20:32.813233+00', 780, NULL, 'node-kept', 'machine.enrol', 'allowed', 'machine', '01a20db7-1829-7ed9-9a32-d2f33cc7f658', NULL, '127.0.0.1', 'req-5094402e46484328', '{"name": "node-kept", "join_token": "node-kept"}'),
	(12, '2026-11-24 13:20:32.82567+00', 781, '01a20db7-1829-7ed9-9a32-d2f33cc7f658', 'agent', 'machine.state', 'allowed', 'machine', '01a20db7-1829-7ed9-9a32-d2f33cc7f658', NULL, '127.0.0.1', 'req-5e21afe3d8864e23', '{"to": "online", "from": "enrolling", "name": "node-kept", "reason": "the first report has arrived"}'),
	(13, '2026-11-24 13:20:33.13857+00', 784, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'allocation.create', 'allowed', 'allocation', '01a20db7-196d-78d9-9291-2ab2465cc085', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-48fc7249f32b40dc', '{"to": "scheduled", "from": "created", "reason": "", "ends_at": "2031-10-29T13:20:33.126708+00:00", "machine_id": "01a20db7-1829-7ed9-9a32-d2f33cc7f658"}'),
	(14, '2026-11-24 13:20:33.138595+00', 784, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'machine.state', 'allowed', 'machine', '01a20db7-1829-7ed9-9a32-d2f33cc7f658', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-48fc7249f32b40dc', '{"to": "allocated", "from": "online", "name": "node-kept", "reason": "leased until 2031-10-29"}'),
	(15, '2026-11-24 13:20:33.138605+00', 784, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'allocation.active', 'allowed', 'allocation', '01a20db7-196d-78d9-9291-2ab2465cc085', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-48fc7249f32b40dc', '{"to": "active", "from": "scheduled", "reason": "the period has begun", "ends_at": "2031-10-29T13:20:33.126708+00:00", "machine_id": "01a20db7-1829-7ed9-9a32-d2f33cc7f658"}'),
	(16, '2026-11-24 13:20:33.165526+00', 786, '01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'task.submit', 'allowed', 'task', '01a20db7-198c-7b9f-ae1d-26e88565889c', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-be04c7a23cab4632', '{"kind": "shell", "name": "kept task", "machine_id": "01a20db7-1829-7ed9-9a32-d2f33cc7f658"}'),
	(17, '2026-11-24 13:20:33.171645+00', 786, '01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'task.assigned', 'allowed', 'task', '01a20db7-198c-7b9f-ae1d-26e88565889c', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-be04c7a23cab4632', '{"to": "assigned", "from": "queued", "reason": "", "attempt": 1}'),
	(18, '2026-11-24 13:20:33.178655+00', 787, '01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'GET /customers', 'denied', 'route', '/api/v1/customers', '01a20db7-1739-7688-8591-7394625958f8', '127.0.0.1', 'req-0b4925fff49142d1', '{"code": "forbidden", "reason": "your role is customer_member, this needs one of: admin", "status": 403}');


--
-- Data for Name: audit_seals; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_seals VALUES
	(1, 1, 770, 'c91b6dae5c685e45449a15c52e6792ee0c3aab3f1615fb565c7b3b2832801a73'),
	(2, 2, 771, '0d52388c90fb84f28e17ed54944ee4897685b71776431d275ec983d477c52e6c'),
	(3, 3, 772, 'ade58552de6e81d0e9ffede4d24b72abca32e79a51038e454f7182fa4a1a874e'),
	(4, 4, 773, '0ff243857d8ef12048dd556cfa0083801f4ab8fe0a1036034f8ffa56c739d12f'),
	(5, 5, 774, 'e5279e2d7622229e3f8a493907066c1371720f02d8460144e955aadd6929596d'),
	(6, 6, 775, '29f5436b14fcb516d04050159a5425292a71433a51c02a96c1c9af1c03d62358'),
	(7, 7, 776, 'd49ef4ec8f686e1752f9256025c50b3a0e81e91c60551ceb963fd71f72eda1ad'),
	(8, 8, 777, '8dc79ce1f91afb626323deee5dcd5348599c7a7c68dd990f8cc3be44afc3423e'),
	(9, 9, 778, '8f57e681f2d0f846fe18804eca9c866b401b356e06d5dd8ce5652e200e91bed1'),
	(10, 10, 779, 'f9f6b59ac5db2273498ab15b717f3c66b8cd3e2d75e36e767fa45aa0be5f14eb'),
	(11, 11, 780, 'ead2fd5a5f1368ad13c00a0faf920dd1d16e822068ecc2122e3fc3debb00c768'),
	(12, 12, 781, '751082375139d171fd6a76951a55c3e72a397ade9c6836c1748ff3bb5296e0f8'),
	(13, 13, 784, '1c9bcbf97a8d6c65d0ff473b10cc27a6bc66272ccc804e09f02179568d100627'),
	(14, 14, 784, '4589fc0712844343f6391f626e219399c584d76e5893c4cf51990466b295b868'),
	(15, 15, 784, 'f4358ca8df9487adad2adb06665220f5f833b15ab8621e09b6b78e0543db3268'),
	(16, 16, 786, '544837d676411cae654a1da7a3e07f1e55f5bc264343517b78adb8370022cbd1'),
	(17, 17, 786, 'b95af399679c04eae956f380b84111870906ac8b44c93c1d791b09e3297df47c'),
	(18, 18, 787, '6962e8566d1478f6c027982dd8f64b4dc9cd8ae0ae09c8b07d3a56357c81835a');


--
-- Data for Name: customers; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.customers VALUES
	('01a20db7-1739-7688-8591-7394625958f8', 'aurora', 'Aurora Labs', 'active', '2026-11-24 13:20:32.569744+00');


--
-- Data for Name: idempotency_keys; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: join_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.join_tokens VALUES
	('01a20db7-181f-7892-9798-6977efd8430a', 'node-kept', '48d570190fbe6f4c32cedaf019136c06102aa68e5a4dedd8e428ade117de9bc7', 1, 1, '2026-11-25 13:20:32.799725+00', NULL, '01a20db7-15e6-725a-bc0b-c1b370e40ee0', '2026-11-24 13:20:32.799725+00');


--
-- Data for Name: machines; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.machines VALUES
	('01a20db7-1829-7ed9-9a32-d2f33cc7f658', 'node-kept', 'allocated', false, '', 3, 0, true, '2026-11-24 13:20:32.819967+00', '2026-11-24 13:20:32.819967+00', -0.004282712936401367, '0.0.0-test', '1.1', 'a28705e75ceb09a5', '{"os": "Debian GNU/Linux 12", "gpus": [{"uuid": "SIM-node-kept-0", "index": 0, "model": "Fake H100", "vbios": null, "simulated": true, "pcie_width": null, "memory_bytes": 85899345920, "pcie_generation": null}, {"uuid": "SIM-node-kept-1", "index": 1, "model": "Fake H100", "vbios": null, "simulated": true, "pcie_width": null, "memory_bytes": 85899345920, "pcie_generation": null}], "nics": [], "disks": [], "kernel": "6.1.0", "hostname": "node-kept", "cpu_cores": 4, "cpu_model": "Test CPU", "isolation": "linux", "cpu_threads": 8, "architecture": "x86_64", "cuda_version": null, "memory_bytes": 68719476736, "ssh_host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkbYrAh0+l7SMgnNVAo8dZoKUZDNLPJ0e4jfBP8QIV2", "driver_version": null}', 'facts', true, 'linux', 2, 'Fake H100', 85899345920, 8, 68719476736, 'Debian GNU/Linux 12', '', false, '2026-11-24 13:20:32.805246+00');


--
-- Data for Name: node_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.node_tokens VALUES
	('01a20db7-182c-710c-acaf-f30ad9affed1', '01a20db7-1829-7ed9-9a32-d2f33cc7f658', 'd1138293fb934587982b2df8a981c0acc6fa9d00f0cefb00b2d85533ee9b2ac0', '2026-11-24 13:20:32.805246+00', NULL);


--
-- Data for Name: reclaim_steps; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: ssh_keys; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: tasks; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tasks VALUES
	('01a20db7-198c-7b9f-ae1d-26e88565889c', 'kept task', 'shell', 'assigned', '', '01a20db7-1829-7ed9-9a32-d2f33cc7f658', '01a20db7-196d-78d9-9291-2ab2465cc085', '01a20db7-1739-7688-8591-7394625958f8', '01a20db7-1745-71ec-9467-eff8ad882006', 'true', '[]', '{}', NULL, 86400, 5, 0, 0, 1, NULL, '2026-11-24 13:20:33.164771+00', '2026-11-24 13:20:33.164771+00', NULL, NULL, NULL);


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.users VALUES
	('01a20db7-15e6-725a-bc0b-c1b370e40ee0', 'admin@example.com', 'Administrator', 'admin', NULL, '$argon2id$v=19$m=19456,t=2,p=1$3r3naeO46JZAMWTlH8WueA$jY9vqAC9Xf2SUx5RqE5kBuWbK/9RBKQSkAJvrD7bvBQ', false, false, '2026-11-24 13:20:32.27844+00'),
	('01a20db7-1745-71ec-9467-eff8ad882006', 'member@example.com', 'A member', 'customer_member', '01a20db7-1739-7688-8591-7394625958f8', '$argon2id$v=19$m=19456,t=2,p=1$VF/wWhoe7RdAbV5TpbHIng$rD7g5tMxHT9gJ2Oz//VyIgxmD6toRVNIhLjkwZXZ72U', false, false, '2026-11-24 13:20:32.611602+00');


--
-- Name: audit_logs_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.audit_logs_id_seq', 18, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: access_sessions pk_access_sessions; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_sessions
    ADD CONSTRAINT pk_access_sessions PRIMARY KEY (id);


--
-- Name: access_tokens pk_access_tokens; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT pk_access_tokens PRIMARY KEY (id);


--
-- Name: allocations pk_allocations; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT pk_allocations PRIMARY KEY (id);


--
-- Name: artifacts pk_artifacts; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT pk_artifacts PRIMARY KEY (id);


--
-- Name: attempts pk_attempts; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT pk_attempts PRIMARY KEY (id);


--
-- Name: audit_logs pk_audit_logs; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_logs
    ADD CONSTRAINT pk_audit_logs PRIMARY KEY (id);


--
-- Name: audit_seals pk_audit_seals; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT pk_audit_seals PRIMARY KEY (seq);


--
-- Name: customers pk_customers; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT pk_customers PRIMARY KEY (id);


--
-- Name: idempotency_keys pk_idempotency_keys; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, key);


--
-- Name: join_tokens pk_join_tokens; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.join_tokens
    ADD CONSTRAINT pk_join_tokens PRIMARY KEY (id);


--
-- Name: machines pk_machines; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.machines
    ADD CONSTRAINT pk_machines PRIMARY KEY (id);


--
-- Name: node_tokens pk_node_tokens; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.node_tokens
    ADD CONSTRAINT pk_node_tokens PRIMARY KEY (id);


--
-- Name: reclaim_steps pk_reclaim_steps; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reclaim_steps
    ADD CONSTRAINT pk_reclaim_steps PRIMARY KEY (allocation_id, "position");


--
-- Name: ssh_keys pk_ssh_keys; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT pk_ssh_keys PRIMARY KEY (id);


--
-- Name: tasks pk_tasks; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT pk_tasks PRIMARY KEY (id);


--
-- Name: users pk_users; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);


--
-- Name: access_tokens uq_access_tokens_token_hash; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT uq_access_tokens_token_hash UNIQUE (token_hash);


--
-- Name: artifacts uq_artifacts_attempt_id_path; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT uq_artifacts_attempt_id_path UNIQUE (attempt_id, path);


--
-- Name: attempts uq_attempts_task_id_number; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT uq_attempts_task_id_number UNIQUE (task_id, number);


--
-- Name: audit_seals uq_audit_seals_audit_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT uq_audit_seals_audit_id UNIQUE (audit_id);


--
-- Name: customers uq_customers_company_code; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT uq_customers_company_code UNIQUE (company_code);


--
-- Name: join_tokens uq_join_tokens_token_hash; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.join_tokens
    ADD CONSTRAINT uq_join_tokens_token_hash UNIQUE (token_hash);


--
-- Name: machines uq_machines_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.machines
    ADD CONSTRAINT uq_machines_name UNIQUE (name);


--
-- Name: node_tokens uq_node_tokens_token_hash; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.node_tokens
    ADD CONSTRAINT uq_node_tokens_token_hash UNIQUE (token_hash);


--
-- Name: ssh_keys uq_ssh_keys_user_id_fingerprint; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT uq_ssh_keys_user_id_fingerprint UNIQUE (user_id, fingerprint);


--
-- Name: users uq_users_email; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_email UNIQUE (email);


--
-- Name: ix_access_sessions_customer; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_access_sessions_customer ON public.access_sessions USING btree (customer_id, started_at);


--
-- Name: ix_access_sessions_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_access_sessions_open ON public.access_sessions USING btree (machine_id) WHERE ((state)::text = ANY ((ARRAY['connecting'::character varying, 'active'::character varying])::text[]));


--
-- Name: ix_access_sessions_user_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_access_sessions_user_id ON public.access_sessions USING btree (user_id);


--
-- Name: ix_access_tokens_user_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_access_tokens_user_id ON public.access_tokens USING btree (user_id);


--
-- Name: ix_allocations_customer_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_allocations_customer_state ON public.allocations USING btree (customer_id, state);


--
-- Name: ix_allocations_machine_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_allocations_machine_id ON public.allocations USING btree (machine_id);


--
-- Name: ix_allocations_state_ends_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_allocations_state_ends_at ON public.allocations USING btree (state, ends_at);


--
-- Name: ix_artifacts_task_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_artifacts_task_id ON public.artifacts USING btree (task_id);


--
-- Name: ix_attempts_lease; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_attempts_lease ON public.attempts USING btree (lease_expires_at) WHERE ((state)::text = ANY ((ARRAY['assigned'::character varying, 'running'::character varying])::text[]));


--
-- Name: ix_attempts_machine_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_attempts_machine_state ON public.attempts USING btree (machine_id, state);


--
-- Name: ix_audit_logs_actor_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_logs_actor_id ON public.audit_logs USING btree (actor_id);


--
-- Name: ix_audit_logs_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_logs_at ON public.audit_logs USING btree (at);


--
-- Name: ix_audit_logs_resource; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_logs_resource ON public.audit_logs USING btree (resource_type, resource_id);


--
-- Name: ix_audit_logs_txid_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_logs_txid_id ON public.audit_logs USING btree (txid, id);


--
-- Name: ix_idempotency_keys_created_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_idempotency_keys_created_at ON public.idempotency_keys USING btree (created_at);


--
-- Name: ix_machines_last_seen_at; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_machines_last_seen_at ON public.machines USING btree (last_seen_at);


--
-- Name: ix_machines_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_machines_state ON public.machines USING btree (state);


--
-- Name: ix_node_tokens_machine_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_node_tokens_machine_id ON public.node_tokens USING btree (machine_id);


--
-- Name: ix_ssh_keys_user_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_ssh_keys_user_id ON public.ssh_keys USING btree (user_id);


--
-- Name: ix_tasks_allocation_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tasks_allocation_id ON public.tasks USING btree (allocation_id);


--
-- Name: ix_tasks_customer_state; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tasks_customer_state ON public.tasks USING btree (customer_id, state);


--
-- Name: ix_tasks_machine_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tasks_machine_id ON public.tasks USING btree (machine_id);


--
-- Name: ix_tasks_queue; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tasks_queue ON public.tasks USING btree (machine_id, priority, queued_at) WHERE ((state)::text = 'queued'::text);


--
-- Name: ix_tasks_state_finished; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_tasks_state_finished ON public.tasks USING btree (state, finished_at);


--
-- Name: ix_users_customer_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_users_customer_id ON public.users USING btree (customer_id);


--
-- Name: uq_allocations_one_holder; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX uq_allocations_one_holder ON public.allocations USING btree (machine_id) WHERE ((state)::text = ANY ((ARRAY['active'::character varying, 'expiring'::character varying, 'reclaiming'::character varying])::text[]));


--
-- Name: uq_attempts_one_open; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX uq_attempts_one_open ON public.attempts USING btree (task_id) WHERE ((state)::text = ANY ((ARRAY['assigned'::character varying, 'running'::character varying])::text[]));


--
-- Name: audit_logs audit_logs_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_logs_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_logs FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();


--
-- Name: audit_seals audit_seals_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_seals_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_seals FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();


--
-- Name: access_sessions fk_access_sessions_allocation_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_sessions
    ADD CONSTRAINT fk_access_sessions_allocation_id FOREIGN KEY (allocation_id) REFERENCES public.allocations(id);


--
-- Name: access_sessions fk_access_sessions_customer_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_sessions
    ADD CONSTRAINT fk_access_sessions_customer_id FOREIGN KEY (customer_id) REFERENCES public.customers(id);


--
-- Name: access_sessions fk_access_sessions_machine_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_sessions
    ADD CONSTRAINT fk_access_sessions_machine_id FOREIGN KEY (machine_id) REFERENCES public.machines(id);


--
-- Name: access_sessions fk_access_sessions_user_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_sessions
    ADD CONSTRAINT fk_access_sessions_user_id FOREIGN KEY (user_id) REFERENCES public.users(id);


--
-- Name: access_tokens fk_access_tokens_user_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.access_tokens
    ADD CONSTRAINT fk_access_tokens_user_id FOREIGN KEY (user_id) REFERENCES public.users(id);


--
-- Name: allocations fk_allocations_created_by; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT fk_allocations_created_by FOREIGN KEY (created_by) REFERENCES public.users(id);


--
-- Name: allocations fk_allocations_customer_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT fk_allocations_customer_id FOREIGN KEY (customer_id) REFERENCES public.customers(id);


--
-- Name: allocations fk_allocations_machine_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT fk_allocations_machine_id FOREIGN KEY (machine_id) REFERENCES public.machines(id);


--
-- Name: artifacts fk_artifacts_attempt_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT fk_artifacts_attempt_id FOREIGN KEY (attempt_id) REFERENCES public.attempts(id);


--
-- Name: artifacts fk_artifacts_task_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT fk_artifacts_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id);


--
-- Name: attempts fk_attempts_machine_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT fk_attempts_machine_id FOREIGN KEY (machine_id) REFERENCES public.machines(id);


--
-- Name: attempts fk_attempts_task_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT fk_attempts_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id);


--
-- Name: join_tokens fk_join_tokens_created_by; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.join_tokens
    ADD CONSTRAINT fk_join_tokens_created_by FOREIGN KEY (created_by) REFERENCES public.users(id);


--
-- Name: node_tokens fk_node_tokens_machine_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.node_tokens
    ADD CONSTRAINT fk_node_tokens_machine_id FOREIGN KEY (machine_id) REFERENCES public.machines(id) ON DELETE CASCADE;


--
-- Name: reclaim_steps fk_reclaim_steps_allocation_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reclaim_steps
    ADD CONSTRAINT fk_reclaim_steps_allocation_id FOREIGN KEY (allocation_id) REFERENCES public.allocations(id);


--
-- Name: ssh_keys fk_ssh_keys_user_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT fk_ssh_keys_user_id FOREIGN KEY (user_id) REFERENCES public.users(id);


--
-- Name: tasks fk_tasks_allocation_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_allocation_id FOREIGN KEY (allocation_id) REFERENCES public.allocations(id);


--
-- Name: tasks fk_tasks_customer_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_customer_id FOREIGN KEY (customer_id) REFERENCES public.customers(id);


--
-- Name: tasks fk_tasks_machine_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_machine_id FOREIGN KEY (machine_id) REFERENCES public.machines(id);


--
-- Name: tasks fk_tasks_submitted_by; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT fk_tasks_submitted_by FOREIGN KEY (submitted_by) REFERENCES public.users(id);


--
-- Name: users fk_users_customer_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT fk_users_customer_id FOREIGN KEY (customer_id) REFERENCES public.customers(id);


--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA public TO remotegpu_user;


--
-- Name: TABLE access_sessions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.access_sessions TO remotegpu_user;


--
-- Name: TABLE access_tokens; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.access_tokens TO remotegpu_user;


--
-- Name: TABLE alembic_version; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.alembic_version TO remotegpu_user;


--
-- Name: TABLE allocations; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.allocations TO remotegpu_user;


--
-- Name: TABLE artifacts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.artifacts TO remotegpu_user;


--
-- Name: TABLE attempts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.attempts TO remotegpu_user;


--
-- Name: TABLE audit_logs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.audit_logs TO remotegpu_user;


--
-- Name: SEQUENCE audit_logs_id_seq; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,USAGE ON SEQUENCE public.audit_logs_id_seq TO remotegpu_user;


--
-- Name: TABLE audit_seals; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.audit_seals TO remotegpu_user;


--
-- Name: TABLE customers; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.customers TO remotegpu_user;


--
-- Name: TABLE idempotency_keys; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency_keys TO remotegpu_user;


--
-- Name: TABLE join_tokens; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.join_tokens TO remotegpu_user;


--
-- Name: TABLE machines; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.machines TO remotegpu_user;


--
-- Name: TABLE node_tokens; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.node_tokens TO remotegpu_user;


--
-- Name: TABLE reclaim_steps; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.reclaim_steps TO remotegpu_user;


--
-- Name: TABLE ssh_keys; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.ssh_keys TO remotegpu_user;


--
-- Name: TABLE tasks; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.tasks TO remotegpu_user;


--
-- Name: TABLE users; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.users TO remotegpu_user;


--
-- PostgreSQL database dump complete
--


