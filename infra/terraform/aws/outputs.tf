output "source" {
  description = "The entry for `sources:` in trendbreak.yml."
  value = {
    name     = "aws"
    type     = "aws_data_exports"
    location = "s3://${local.bucket}/${var.export_prefix}/${var.export_name}"
    region   = var.region
    role_arn = aws_iam_role.reader.arn
  }
}

output "reader_role_arn" {
  description = "The role that reads the export."
  value       = aws_iam_role.reader.arn
}

output "instance_id" {
  description = "The machine, if one was asked for: aws ssm start-session --target <it>."
  value       = one(aws_instance.machine[*].id)
}
