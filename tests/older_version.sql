-- A SQLite database as the version before made it: study log 0001, tables of DBOS 3.4, no rows but
-- versions and the two queues. What a version wrote does not change any more, so it stands here as
-- it was written and is not made by the code of today.
BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
CREATE TABLE "conflict" (
	id INTEGER NOT NULL, 
	instance_id INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	dataset_sha256 VARCHAR(64) NOT NULL, 
	differing_keywords VARCHAR NOT NULL, 
	calling_ae_title VARCHAR NOT NULL, 
	received_at DATETIME NOT NULL, 
	CONSTRAINT pk_conflict PRIMARY KEY (id), 
	CONSTRAINT fk_conflict_instance_id FOREIGN KEY(instance_id) REFERENCES instance (id), 
	CONSTRAINT uq_conflict_instance_id_dataset_sha256 UNIQUE (instance_id, dataset_sha256)
);
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE delivery (
	id INTEGER NOT NULL, 
	revision_id INTEGER NOT NULL, 
	destination VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	due_at DATETIME NOT NULL, 
	reason VARCHAR NOT NULL, 
	ended_at DATETIME, 
	CONSTRAINT pk_delivery PRIMARY KEY (id), 
	CONSTRAINT fk_delivery_revision_id FOREIGN KEY(revision_id) REFERENCES revision (id), 
	CONSTRAINT uq_delivery_revision_id_destination UNIQUE (revision_id, destination)
);
CREATE TABLE delivery_object (
	id INTEGER NOT NULL, 
	delivery_id INTEGER NOT NULL, 
	result_id INTEGER NOT NULL, 
	status INTEGER, 
	acknowledged_at DATETIME, 
	CONSTRAINT pk_delivery_object PRIMARY KEY (id), 
	CONSTRAINT fk_delivery_object_delivery_id FOREIGN KEY(delivery_id) REFERENCES delivery (id), 
	CONSTRAINT fk_delivery_object_result_id FOREIGN KEY(result_id) REFERENCES result (id), 
	CONSTRAINT uq_delivery_object_delivery_id_result_id UNIQUE (delivery_id, result_id)
);
CREATE TABLE event (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	event VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	CONSTRAINT pk_event PRIMARY KEY (id), 
	CONSTRAINT fk_event_study_id FOREIGN KEY(study_id) REFERENCES study (id)
);
CREATE TABLE instance (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	transfer_syntax_uid VARCHAR(64) NOT NULL, 
	kind VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	laterality VARCHAR, 
	view_position VARCHAR, 
	triage_reason VARCHAR, 
	triage_detail VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	dataset_sha256 VARCHAR(64) NOT NULL, 
	calling_ae_title VARCHAR NOT NULL, 
	received_at DATETIME NOT NULL, 
	CONSTRAINT pk_instance PRIMARY KEY (id), 
	CONSTRAINT fk_instance_study_id FOREIGN KEY(study_id) REFERENCES study (id), 
	CONSTRAINT uq_instance_sop_instance_uid UNIQUE (sop_instance_uid)
);
CREATE TABLE instance_outcome (
	id INTEGER NOT NULL, 
	revision_id INTEGER NOT NULL, 
	instance_id INTEGER NOT NULL, 
	score DOUBLE, 
	triage_reason VARCHAR, 
	triage_detail VARCHAR NOT NULL, 
	CONSTRAINT pk_instance_outcome PRIMARY KEY (id), 
	CONSTRAINT fk_instance_outcome_instance_id FOREIGN KEY(instance_id) REFERENCES instance (id), 
	CONSTRAINT fk_instance_outcome_revision_id FOREIGN KEY(revision_id) REFERENCES revision (id), 
	CONSTRAINT uq_instance_outcome_revision_id_instance_id UNIQUE (revision_id, instance_id)
);
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('5FB2A88D2A6499C0324157FAEB479EFA','analysis',NULL,1,NULL,NULL,1,0,0.1,1795520244000,1795520244256,'mammonode',NULL,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('D0CE83E6BA8A42C57DD83EAB5F7766B3','delivery',NULL,NULL,NULL,NULL,1,1,0.1,1795520244000,1795520244304,'mammonode',1,NULL,NULL,NULL);
CREATE TABLE result (
	id INTEGER NOT NULL, 
	revision_id INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	"index" INTEGER NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	source_sop_instance_uid VARCHAR(64), 
	path VARCHAR NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_result PRIMARY KEY (id), 
	CONSTRAINT fk_result_revision_id FOREIGN KEY(revision_id) REFERENCES revision (id), 
	CONSTRAINT uq_result_revision_id_kind_index UNIQUE (revision_id, kind, "index")
);
CREATE TABLE revision (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	close_reason VARCHAR NOT NULL, 
	closed_at DATETIME NOT NULL, 
	weights VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	interruptions INTEGER NOT NULL, 
	reason VARCHAR NOT NULL, 
	started_at DATETIME, 
	ended_at DATETIME, 
	score DOUBLE, 
	score_right DOUBLE, 
	score_left DOUBLE, 
	is_suspicious BOOLEAN, 
	model_name VARCHAR, 
	model_version VARCHAR, 
	weights_sha256 VARCHAR(64), 
	CONSTRAINT pk_revision PRIMARY KEY (id), 
	CONSTRAINT fk_revision_study_id FOREIGN KEY(study_id) REFERENCES study (id), 
	CONSTRAINT uq_revision_study_id_number UNIQUE (study_id, number)
);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE study (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	state VARCHAR NOT NULL, 
	patient_id VARCHAR NOT NULL, 
	issuer_of_patient_id VARCHAR NOT NULL, 
	patient_name VARCHAR NOT NULL, 
	patient_birth_date VARCHAR NOT NULL, 
	patient_sex VARCHAR NOT NULL, 
	accession_number VARCHAR NOT NULL, 
	study_date VARCHAR NOT NULL, 
	study_time VARCHAR NOT NULL, 
	study_description VARCHAR NOT NULL, 
	calling_ae_title VARCHAR NOT NULL, 
	called_ae_title VARCHAR NOT NULL, 
	first_received_at DATETIME NOT NULL, 
	last_received_at DATETIME NOT NULL, 
	quiet_from_at DATETIME NOT NULL, 
	CONSTRAINT pk_study PRIMARY KEY (id), 
	CONSTRAINT uq_study_study_instance_uid UNIQUE (study_instance_uid)
);
CREATE TABLE study_log_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT study_log_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "study_log_version" VALUES('0001');
CREATE TABLE worker (
	slot VARCHAR NOT NULL, 
	pid INTEGER NOT NULL, 
	beat_at DATETIME NOT NULL, 
	CONSTRAINT pk_worker PRIMARY KEY (slot)
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
CREATE INDEX ix_study_accession_number ON study (accession_number);
CREATE INDEX ix_study_last_received_at ON study (last_received_at);
CREATE INDEX ix_study_patient_id ON study (patient_id);
CREATE INDEX ix_study_state ON study (state);
CREATE INDEX ix_study_study_date ON study (study_date);
CREATE INDEX ix_event_study_id ON event (study_id);
CREATE INDEX ix_instance_study_id ON instance (study_id);
CREATE INDEX ix_revision_state ON revision (state);
CREATE INDEX ix_conflict_state ON "conflict" (state);
CREATE INDEX ix_delivery_due ON delivery (state, due_at);
CREATE INDEX ix_result_sop_instance_uid ON result (sop_instance_uid);
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;