CREATE TABLE `signup_mailboxes` (
	`mailbox` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL
);
