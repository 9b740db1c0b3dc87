CREATE TABLE `incidents` (
	`kind` text NOT NULL,
	`starts_at` integer NOT NULL,
	`count` integer NOT NULL,
	PRIMARY KEY(`kind`, `starts_at`)
);
--> statement-breakpoint
CREATE TABLE `job_state` (
	`name` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
