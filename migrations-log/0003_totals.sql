CREATE TABLE `generation_totals` (
	`starts_at` integer NOT NULL,
	`model` text NOT NULL,
	`status` text NOT NULL,
	`error` text NOT NULL,
	`count` integer NOT NULL,
	`images` integer NOT NULL,
	`credits_charged` integer NOT NULL,
	`credits_refunded` integer NOT NULL,
	`milliseconds` integer NOT NULL,
	PRIMARY KEY(`starts_at`, `model`, `status`, `error`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `operator_actions` (
	`id` text PRIMARY KEY NOT NULL,
	`action` text NOT NULL,
	`request_id` text NOT NULL,
	`fields` text NOT NULL,
	`created_at` integer NOT NULL
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TRIGGER `count_generation` AFTER INSERT ON `generations` BEGIN
	INSERT INTO `generation_totals` VALUES (
		NEW.`ended_at` - NEW.`ended_at` % 300000, NEW.`model`, NEW.`status`, coalesce(NEW.`error`, ''),
		1, json_array_length(NEW.`images`), NEW.`credits_charged`, NEW.`credits_refunded`,
		NEW.`ended_at` - NEW.`created_at`
	)
	ON CONFLICT DO UPDATE SET
		`count` = `count` + 1,
		`images` = `images` + excluded.`images`,
		`credits_charged` = `credits_charged` + excluded.`credits_charged`,
		`credits_refunded` = `credits_refunded` + excluded.`credits_refunded`,
		`milliseconds` = `milliseconds` + excluded.`milliseconds`;
END;
